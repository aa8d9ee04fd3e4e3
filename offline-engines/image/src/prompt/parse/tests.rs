//! The words that are found in prompts.

use super::*;

#[test]
fn longer_word_prevents_matches_within_it() {
    assert_eq!(ParsedPrompt::parse("上海").scenes, [Scene::City]);
    assert_eq!(ParsedPrompt::parse("日落").time, Some(Time::Sunset));
    assert!(ParsedPrompt::parse("a scattered catalogue").subjects.is_empty());
}

#[test]
fn subject_whose_name_contains_a_known_one_is_unknown() {
    for text in ["一只熊猫", "猫头鹰", "a hot dog", "hot dogs with mustard", "热狗", "海豹在沙滩上", "an old fish tank"]
    {
        let prompt = ParsedPrompt::parse(text);
        assert!(prompt.has_unknown_subject && prompt.subjects.is_empty(), "{text}: {prompt:?}");
    }
    assert!(ParsedPrompt::parse("熊猫和猫").has_subject(Subject::Cat));
    assert!(ParsedPrompt::parse("a dog that eats a hot dog").has_subject(Subject::Dog));
}

#[test]
fn chinese_character_that_begins_an_unknown_word_is_no_subject() {
    for text in ["狗尾巴草", "狗不理包子", "鱼香肉丝", "一束猫爪草", "花瓶", "茶叶", "船员", "鱼罐头", "窗帘", "江豚"]
    {
        let prompt = ParsedPrompt::parse(text);
        assert!(prompt.subjects.is_empty() && prompt.scenes.is_empty(), "{text}: {prompt:?}");
        assert!(prompt.has_unknown_subject, "{text}");
    }
}

#[test]
fn usual_chinese_prompts_keep_their_subject() {
    use Subject::{Birds, Blossom, Boat, Car, Cat, Cup, Dog, Fish, Flower, House, Pagoda, Rabbit, Tree};
    for (text, subject) in [
        ("一只猫", Cat),
        ("猫", Cat),
        ("小狗在草地上", Dog),
        ("红色的鱼", Fish),
        ("画一条狗", Dog),
        ("狗在跑", Dog),
        ("一只狗跑过草地", Dog),
        ("一只猫坐在窗台上", Cat),
        ("猫追着球", Cat),
        ("猫和狗", Dog),
        ("黑猫,夜晚", Cat),
        ("狗狗", Dog),
        ("鱼儿在水里游", Fish),
        ("池塘里的鲤鱼", Fish),
        ("一匹狼和一只兔", Rabbit),
        ("树上的鸟", Birds),
        ("鸟飞过大海", Birds),
        ("樱花盛开", Blossom),
        ("湖面上的船", Boat),
        ("船停在港口", Boat),
        ("蓝色的车", Car),
        ("车开在路上", Car),
        ("一杯茶", Cup),
        ("一朵花", Flower),
        ("花开了", Flower),
        ("山上的塔", Pagoda),
        ("雪中的小屋", House),
        ("大树下", Tree),
        ("树下有只猫", Tree),
    ] {
        let prompt = ParsedPrompt::parse(text);
        assert!(prompt.has_subject(subject), "{text}: {prompt:?}");
    }
}

#[test]
fn colour_before_a_subject_is_attributed_to_it() {
    for text in ["a red vintage car on a desert road", "沙漠公路上的红色老爷车"] {
        let prompt = ParsedPrompt::parse(text);
        assert_eq!(prompt.scenes.first(), Some(&Scene::Desert), "{text}");
        assert!(matches!(prompt.subjects[..], [(Subject::Car, Some(_))]), "{text}: {prompt:?}");
        assert!(prompt.colours.is_empty());
    }
}

#[test]
fn english_and_chinese_prompts_parse_alike() {
    let pairs = [
        ("a sunset over mountains", "山间的日落"),
        ("a cute cat by a window", "窗边可爱的猫"),
        ("a lighthouse by the sea at night", "海边的灯塔 夜晚"),
        ("cherry blossoms by a pagoda at dusk", "黄昏 宝塔旁的樱花"),
    ];
    for (english, chinese) in pairs {
        let (a, b) = (ParsedPrompt::parse(english), ParsedPrompt::parse(chinese));
        assert_eq!(a.time, b.time, "{chinese}");
        for (subject, _) in &a.subjects {
            assert!(b.has_subject(*subject), "{chinese}: {subject:?}");
        }
        for scene in &a.scenes {
            assert!(b.scenes.contains(scene), "{chinese}: {scene:?}");
        }
    }
}
