//! Code examples for common tasks. Every example was run before it was added.

use crate::words::words;

/// A code example.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Example {
    /// Keywords, any of which names the task.
    task: &'static [&'static str],
    pub(crate) language: &'static str,
    pub(crate) code: &'static str,
    /// Example to return for a follow-up question.
    follow_up: Option<&'static Example>,
}

impl Example {
    /// Returns the example for a follow-up question, which may be the same one.
    pub(crate) fn follow_up(&'static self) -> &'static Self {
        self.follow_up.unwrap_or(self)
    }
}

/// Returns the example for a text that names a task and a language. The default language is Python.
pub(crate) fn find(text: &str) -> Option<&'static Example> {
    let words = words(text);
    // Chinese names are found within the text, in which no spaces separate words.
    let contains = |name: &str| words.iter().any(|word| word == name) || (!name.is_ascii() && text.contains(name));
    let matches_task = |example: &&Example| example.task.iter().any(|task| contains(task));
    let language = LANGUAGES.iter().find(|(spelling, _)| contains(spelling)).map(|(_, language)| *language);
    let coding = language.is_some() || CODING.iter().any(|word| contains(word));
    if !coding {
        return None;
    }
    EXAMPLES.iter().filter(matches_task).find(|example| example.language == language.unwrap_or("python"))
}

/// Words that mark a question about code when no language is named.
const CODING: &[&str] =
    &["code", "function", "program", "script", "list", "array", "string", "代码", "函数", "程序", "列表", "数组"];

/// Spellings of a language and the language of the examples to use for it.
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

static SORT_PYTHON_FOLLOW_UP: Example = Example {
    task: SORT,
    language: "python",
    code: "people = [(\"Cleo\", 41), (\"Bo\", 29), (\"Ann\", 41)]\n\n\
           by_age = sorted(people, key=lambda person: person[1])\n\
           print(by_age)  # [('Bo', 29), ('Cleo', 41), ('Ann', 41)]\n\n\
           # Oldest first, and by name among people of one age:\n\
           print(sorted(people, key=lambda person: (-person[1], person[0])))\n\
           # [('Ann', 41), ('Cleo', 41), ('Bo', 29)]",
    follow_up: None,
};

static EXAMPLES: &[Example] = &[
    Example {
        task: SORT,
        language: "python",
        code: "numbers = [3, 1, 2]\n\n\
               print(sorted(numbers))                # [1, 2, 3], a new list\n\
               print(sorted(numbers, reverse=True))  # [3, 2, 1]\n\n\
               numbers.sort()                        # changes the list itself, returns None\n\
               print(numbers)                        # [1, 2, 3]",
        follow_up: Some(&SORT_PYTHON_FOLLOW_UP),
    },
    Example {
        task: SORT,
        language: "javascript",
        code: "const numbers = [10, 9, 1];\n\n\
               // Without a comparison, sort() compares texts and 10 comes before 9.\n\
               console.log([...numbers].sort((a, b) => a - b)); // [ 1, 9, 10 ]",
        follow_up: None,
    },
    Example {
        task: SORT,
        language: "rust",
        code: "fn main() {\n    let mut numbers = vec![3, 1, 2];\n    numbers.sort_unstable();\n    println!(\"{numbers:?}\"); // [1, 2, 3]\n}",
        follow_up: None,
    },
    Example {
        task: SORT,
        language: "sql",
        code: "SELECT name, age\nFROM people\nORDER BY age DESC, name;",
        follow_up: None,
    },
    Example { task: SORT, language: "bash", code: "printf '10\\n9\\n1\\n' | sort -n", follow_up: None },
    Example {
        task: REVERSE,
        language: "python",
        code: "word = \"stressed\"\nprint(word[::-1])  # desserts\n\nnumbers = [1, 2, 3]\nprint(list(reversed(numbers)))  # [3, 2, 1]",
        follow_up: None,
    },
    Example {
        task: REVERSE,
        language: "javascript",
        code: "console.log([...\"stressed\"].reverse().join(\"\")); // desserts",
        follow_up: None,
    },
    Example {
        task: REVERSE,
        language: "rust",
        code: "fn main() {\n    let word: String = \"stressed\".chars().rev().collect();\n    println!(\"{word}\"); // desserts\n}",
        follow_up: None,
    },
    Example {
        task: READ,
        language: "python",
        code: "from pathlib import Path\n\nfor line in Path(\"notes.txt\").read_text(encoding=\"utf-8\").splitlines():\n    print(line)",
        follow_up: None,
    },
    Example {
        task: HELLO,
        language: "python",
        code: "def greet(name: str) -> str:\n    return f\"Hello, {name}!\"\n\n\nprint(greet(\"world\"))  # Hello, world!",
        follow_up: None,
    },
    Example {
        task: HELLO,
        language: "rust",
        code: "fn main() {\n    let name = \"world\";\n    println!(\"Hello, {name}!\");\n}",
        follow_up: None,
    },
];
