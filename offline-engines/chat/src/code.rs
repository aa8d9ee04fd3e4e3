//! A small shelf of code examples. Each was run before it was put here; what is not on the shelf is not improvised.

use crate::reading::words;

/// One thing that can be shown.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Example {
    /// Any one of these names the task.
    task: &'static [&'static str],
    pub(crate) language: &'static str,
    pub(crate) code: &'static str,
    /// A second helping, for whoever asks for an example afterwards.
    more: Option<&'static Example>,
}

impl Example {
    pub(crate) fn follow_up(&'static self) -> &'static Self {
        self.more.unwrap_or(self)
    }
}

/// The example for a text that names a task and, unless it is Python, a language.
pub(crate) fn find(text: &str) -> Option<&'static Example> {
    let words = words(text);
    let named = |name: &str| words.iter().any(|word| word == name) || (!name.is_ascii() && text.contains(name));
    let about = |example: &&Example| example.task.iter().any(|task| named(task));
    let language = LANGUAGES.iter().find(|(spelling, _)| named(spelling)).map(|(_, language)| *language);
    let coding = language.is_some() || CODING.iter().any(|word| named(word));
    if !coding {
        return None;
    }
    SHELF.iter().filter(about).find(|example| example.language == language.unwrap_or("python"))
}

const CODING: &[&str] =
    &["code", "function", "program", "script", "list", "array", "string", "代码", "函数", "程序", "列表", "数组"];

const LANGUAGES: &[(&str, &str)] = &[
    ("python", "python"),
    ("py", "python"),
    ("javascript", "javascript"),
    ("js", "javascript"),
    ("typescript", "javascript"),
    ("node", "javascript"),
    ("rust", "rust"),
    ("sql", "sql"),
    ("bash", "bash"),
];

const SORT: &[&str] = &["sort", "sorting", "sorted", "order", "排序"];
const REVERSE: &[&str] = &["reverse", "reversed", "reversing", "backwards", "反转", "倒序"];
const READ: &[&str] = &["read", "reading", "file", "files", "open", "读取", "文件"];
const HELLO: &[&str] = &["hello", "first", "simple", "入门"];

static SORT_PYTHON_MORE: Example = Example {
    task: SORT,
    language: "python",
    code: "people = [(\"Cleo\", 41), (\"Bo\", 29), (\"Ann\", 41)]\n\n\
           by_age = sorted(people, key=lambda person: person[1])\n\
           print(by_age)  # [('Bo', 29), ('Cleo', 41), ('Ann', 41)]\n\n\
           # Oldest first, and by name among people of one age:\n\
           print(sorted(people, key=lambda person: (-person[1], person[0])))\n\
           # [('Ann', 41), ('Cleo', 41), ('Bo', 29)]",
    more: None,
};

static SHELF: &[Example] = &[
    Example {
        task: SORT,
        language: "python",
        code: "numbers = [3, 1, 2]\n\n\
               print(sorted(numbers))                # [1, 2, 3], a new list\n\
               print(sorted(numbers, reverse=True))  # [3, 2, 1]\n\n\
               numbers.sort()                        # changes the list itself, returns None\n\
               print(numbers)                        # [1, 2, 3]",
        more: Some(&SORT_PYTHON_MORE),
    },
    Example {
        task: SORT,
        language: "javascript",
        code: "const numbers = [10, 9, 1];\n\n\
               // Without a comparison, sort() compares texts and 10 comes before 9.\n\
               console.log([...numbers].sort((a, b) => a - b)); // [ 1, 9, 10 ]",
        more: None,
    },
    Example {
        task: SORT,
        language: "rust",
        code: "fn main() {\n    let mut numbers = vec![3, 1, 2];\n    numbers.sort_unstable();\n    println!(\"{numbers:?}\"); // [1, 2, 3]\n}",
        more: None,
    },
    Example {
        task: SORT,
        language: "sql",
        code: "SELECT name, age\nFROM people\nORDER BY age DESC, name;",
        more: None,
    },
    Example { task: SORT, language: "bash", code: "printf '10\\n9\\n1\\n' | sort -n", more: None },
    Example {
        task: REVERSE,
        language: "python",
        code: "word = \"stressed\"\nprint(word[::-1])  # desserts\n\nnumbers = [1, 2, 3]\nprint(list(reversed(numbers)))  # [3, 2, 1]",
        more: None,
    },
    Example {
        task: REVERSE,
        language: "javascript",
        code: "console.log([...\"stressed\"].reverse().join(\"\")); // desserts",
        more: None,
    },
    Example {
        task: REVERSE,
        language: "rust",
        code: "fn main() {\n    let word: String = \"stressed\".chars().rev().collect();\n    println!(\"{word}\"); // desserts\n}",
        more: None,
    },
    Example {
        task: READ,
        language: "python",
        code: "from pathlib import Path\n\nfor line in Path(\"notes.txt\").read_text(encoding=\"utf-8\").splitlines():\n    print(line)",
        more: None,
    },
    Example {
        task: HELLO,
        language: "python",
        code: "def greet(name: str) -> str:\n    return f\"Hello, {name}!\"\n\n\nprint(greet(\"world\"))  # Hello, world!",
        more: None,
    },
    Example {
        task: HELLO,
        language: "rust",
        code: "fn main() {\n    let name = \"world\";\n    println!(\"Hello, {name}!\");\n}",
        more: None,
    },
];
