//! The scenes of prompts with and without a subject that can be drawn.

use super::*;

/// Prompts whose subject cannot be drawn, and that name no landscape.
const UNKNOWN: [&str; 44] = [
    "",
    "a panda",
    "a red stapler on a table lamp",
    "quarterly planning",
    "a hot dog in the rain",
    "an elephant at sunset",
    "a stapler in the rain",
    "elephants walking slowly at dusk",
    "three penguins under the moon",
    "two wooden chairs, foggy morning, 4k, highly detailed",
    "portable radio at night, cinematic lighting",
    "a butterfly on a sunny day",
    "a pudding at midnight",
    "the sun behind a windmill",
    "oil painting of a violin in the evening",
    "a tiger resting in the snow",
    "a chess-board, stormy night",
    "a dragon breathing fire during a thunderstorm",
    "an oil lamp in the rain",
    "morning dew on a spiderweb",
    "una elefanta, night",
    "一只熊猫",
    "日落时的大象",
    "一头大象在日落时分",
    "雨中的订书机",
    "一个订书机在下雨天",
    "夜晚,一架钢琴",
    "雪中的老虎",
    "清晨的蝴蝶",
    "月光下的狮子",
    "雾中的企鹅",
    "黄昏 小提琴 油画",
    "狗尾巴草",
    "狗不理包子",
    "鱼香肉丝",
    "一把雨伞",
    "夕阳下的狗尾巴草",
    "一碗海鲜面",
    "花店",
    "车库",
    "夜晚的鸟笼",
    "鱼丸和茶叶蛋",
    "山竹",
    "早晨的雪人",
];

/// Prompts that name a landscape, a time of day or weather only.
const LANDSCAPES: [&str; 37] = [
    "a sunset",
    "sunset",
    "rain over the sea",
    "a quiet morning",
    "A beautiful, peaceful sunset, 4k, highly detailed",
    "the sun rising on a cold winter morning",
    "please draw a rainy evening",
    "falling snow at night",
    "a foggy autumn day",
    "watercolor of a calm evening",
    "dramatic thunderstorm with lightning",
    "a red sky at dawn",
    "a stunning and peaceful evening",
    "golden hour, warm light, soft clouds",
    "moonlight through the mist",
    "the first snow of the year in winter",
    "night sky full of stars",
    "a walk in the rain",
    "日落",
    "宁静的早晨",
    "美丽的日落",
    "雨",
    "下雨了",
    "雨下得很大",
    "大雪纷飞的夜晚",
    "夕阳西下",
    "清晨的薄雾",
    "画一张日落的图",
    "秋天的傍晚",
    "唯美日落 高清",
    "星空下",
    "雪花飘落",
    "满天星星",
    "雪后的早晨",
    "风雨交加的夜晚",
    "太阳升起",
    "一月的早晨",
];

#[test]
fn prompt_with_an_unknown_subject_gets_the_abstract_scene() {
    for text in UNKNOWN {
        let setting = Setting::from_prompt(text, 7);
        let is_sky = |subject: &Subject| matches!(subject, Subject::Sun | Subject::Moon);
        assert!(setting.prompt.subjects.iter().all(|(subject, _)| is_sky(subject)), "{text}: {:?}", setting.prompt);
        for seed in 0..10 {
            assert_eq!(Setting::from_prompt(text, seed).scene, Scene::Abstract, "{text}");
        }
    }
}

#[test]
fn prompt_that_names_only_landscape_time_or_weather_is_drawn() {
    for text in LANDSCAPES {
        for seed in 0..10 {
            assert_ne!(Setting::from_prompt(text, seed).scene, Scene::Abstract, "{text}");
        }
    }
}

#[test]
fn named_landscape_is_drawn_without_its_unknown_subject() {
    for (text, expected) in [
        ("a panda in a bamboo forest", Scene::Forest),
        ("a cup on a table", Scene::Studio),
        ("an astronaut on mars", Scene::Mars),
        ("森林里的大象", Scene::Forest),
    ] {
        assert_eq!(Setting::from_prompt(text, 1).scene, expected, "{text}");
    }
}
