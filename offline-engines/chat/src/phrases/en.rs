//! The English templates of prose replies. `types` explains the tables.

use super::types::{Phrases, Story};

pub(crate) static PHRASES: Phrases = Phrases {
    disclosures: &[
        "This is Triptych's built-in offline engine, not a language model. Set CHAT_BASE_URL to connect a real one.",
        "You are talking to Triptych's built-in offline engine, which is not a language model. To connect a real one, set CHAT_BASE_URL.",
        "No language model is connected: Triptych's built-in offline engine is answering. Set CHAT_BASE_URL and a real one takes over.",
        "Triptych's built-in offline engine here, not a language model; setting CHAT_BASE_URL connects a real one.",
    ],
    short_disclosure: "(From Triptych's offline engine, not a language model; set CHAT_BASE_URL to connect one.)",
    context: "This is question {count} of our conversation; before it you wrote “{earlier}”.",
    greetings: &[
        "Hello! Your request arrived in one piece, and so does this answer, token by token if you stream it.",
        "Hi, good to see you! The whole path from your client to this engine and back is working.",
        "Welcome! If you can read this, your client, the gateway and the engine behind it understand each other.",
    ],
    echo: "You asked me to say it, so here it is:\n\n{text}",
    fallbacks: &[
        "Your question about “{topic}” got through. I know nothing about it and will not guess, but this is how a good answer to \
         it could be laid out:\n\n\
         1. **In one sentence:** what it comes down to, without jargon.\n\
         2. **An example:** one concrete case that can be checked.\n\
         3. **Limits:** where the short answer stops being true.\n\
         4. **Next step:** what to read or try after that.",
        "You asked: “{question}”. Facts about that need a real model. Until one is connected, three ways to sharpen the \
         question, since they help with any model:\n\n\
         - Say what you want to do with the answer about {topic}.\n\
         - Say how long it should be, and for whom.\n\
         - Give one example of an answer you would like.",
        "“{topic}” is your topic, as far as I can read; knowledge about it is not built in. A checklist for judging whatever a \
         model will say about it:\n\n\
         - Does it answer the question, or a neighbouring one?\n\
         - Can its central claim be checked, and where?\n\
         - Does it say what it is unsure about?",
    ],
    no_user_message: "There is no user message to answer. Send one with the role `user`, and the reply will pick it up.",
    attachments: "Your message came with {kinds}. It arrived, but this engine cannot look into it.",
    tool_result: "The tool answered, and this is its result, unchanged:\n\n> {result}\n\nA connected model would now put it into its own words.",
    code: "It comes with a small shelf of tested examples, and this one fits:\n\n```{language}\n{code}\n```",
    suggestions: &[
        "Meanwhile, you can ask for a story, for a prompt for an image, or for how to sort a list in Python, or offer a tool and see it called.",
        "What works right now: streaming, `max_tokens`, `stop`, `n`, `seed`, tools, and JSON that fits your schema.",
        "Try the same request with `stream` on, or with a JSON Schema as `response_format`; both work offline.",
    ],
    scenes: &[
        "a winding river through terraced hills",
        "snow-capped mountains above a mirror-still lake",
        "a lone lighthouse on a rocky coast",
        "rolling dunes under a wide sky",
        "a misty pine forest with a footbridge",
        "lavender fields leading to an old stone farmhouse",
        "sea cliffs with a waterfall dropping to the beach",
        "an alpine meadow full of wildflowers",
        "a fjord with a small red boathouse",
        "rice terraces holding the colours of the sky",
        "a canyon carved in layers of red rock",
        "a birch grove beside a frozen pond",
    ],
    lights: &[
        "golden hour light with long shadows",
        "soft light just after rain",
        "the last glow of sunset",
        "a pale dawn with drifting mist",
        "moonlight and the first stars",
        "bright noon light under towering clouds",
        "northern lights overhead",
    ],
    palettes: &[
        "warm amber and deep teal",
        "muted greens and silver",
        "coral, violet and gold",
        "cool blues with one accent of red",
        "earth tones and soft cream",
    ],
    styles: &[
        "wide-angle composition with a strong foreground",
        "painterly brushwork, visible texture",
        "crisp photographic detail",
        "watercolour on rough paper",
        "layered depth in the manner of a woodblock print",
    ],
    camera_moves: &[
        "slow pan from left to right",
        "gentle push-in",
        "a drone rising straight up",
        "a slow orbit around the subject",
        "a steady tracking shot",
    ],
    alternative: "(Alternative {number}.)",
    comma: ", ",
    period: ".",
    story: Story {
        heroes: &[
            "a lighthouse keeper",
            "a night-train conductor",
            "a clockmaker's apprentice",
            "a retired cartographer",
            "a young beekeeper",
        ],
        places: &[
            "on an island the ferries had stopped visiting",
            "in a town where the fog never quite left",
            "at the last station before the mountains",
            "in a harbour full of ships that no longer sailed",
        ],
        finds: &[
            "a letter addressed to tomorrow",
            "a map of a street that did not exist",
            "a key that was warm to the touch",
            "a music box that played a different tune each night",
        ],
        troubles: &[
            "the sea had begun to give back everything it had ever taken",
            "every clock in town stopped at the same minute",
            "nobody else could remember the winter before",
            "the stars had started to rearrange themselves",
        ],
        template: "**The Keeper of Small Hours**\n\n\
                There once lived {hero} {place}. The days were alike as pebbles, and that was how they were meant to be: the kettle at six, the log \
                book at seven, the long walk before the rain.\n\n\
                Then, one evening, between the log book and the lamp, there lay {find}. Nobody had come up the stairs. Nobody could have. \
                It was put in a drawer, and the drawer was locked, and in the morning it lay on the table again.\n\n\
                By the end of that week {trouble}. People came to the door, first to ask, then to complain, and at last only to sit by the stove \
                and not be alone. Somebody had to do something, and the only thing nobody had tried was to take the strange gift at its word.\n\n\
                So the lamp was lit an hour early. The drawer was left open. And {find}, which had waited all this time to be used rather than kept, \
                did what it had been made for: it asked a question. It was a simple one, about what had been promised and to whom, and the answer \
                took until dawn, because it had to be true.\n\n\
                When the sun came up, the world had been mended in one place only, no larger than a hand. It was enough to begin with. The kettle went on at six. \
                In the log book, under the weather, there is a line in a hand that is not quite steady: *Quiet night. Kept the promise.*\n\n\
                **To carry on from here:** Who left the gift? What was promised, and what would it have cost to break it? What does the next \
                evening bring to the table?",
        about: "A story made from a fixed frame, with “{topic}” left for you to weave in:",
    },
};
