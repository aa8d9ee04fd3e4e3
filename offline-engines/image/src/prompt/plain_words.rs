//! Words that name no subject. The lists need not be complete: a word before a noun that can be drawn counts as its modifier.

/// English words between phrases: prepositions, conjunctions, relative pronouns, and forms of auxiliary verbs.
pub(super) const SEPARATORS: &str = "\
    about above across after against along among around as at before behind below beneath beside between beyond by despite down during \
    for from in inside into like near of off on onto out outside over past per since through throughout to toward towards under \
    underneath until up upon via with within without and or but nor so yet while when where if because than then that which who \
    is are was were be been being am has have had do does did can could will would should may might must not";

/// English words with which a noun phrase begins.
pub(super) const DETERMINERS: &str = "\
    a an the this these those some any each every no one two three four five six seven eight nine ten my your his her its our their";

/// Other English words, in the singular: requests, light, pictures and their quality, adjectives, and verbs of the sky.
pub(super) const ENGLISH: &str = "\
    all several many few there here it i we you he she they me us please draw paint make create generate show give imagine add \
    picture image photo photograph photography artwork art illustration sketch scene view landscape scenery panorama vista background \
    foreground style mood atmosphere ambience vibe feeling sense aesthetic composition depiction touch hint walk year exposure full \
    sky horizon light glow ray beam shadow shade air weather wind breeze season autumn fall time hour moment today tonight daylight \
    nature distance ground earth world water warmth heat colour color tone hue palette texture detail contrast drop raindrop puddle \
    downpour cinematic realistic photorealistic hyperrealistic high low quality resolution hd uhd hdr ultra very really extremely \
    highly softly gently slowly brightly heavily most more much just only masterpiece best professional award octane digital vintage \
    retro modern classic classical bokeh depth focus lens shot close wide angle macro film grain soft sharp vivid vibrant \
    quiet calm serene still tranquil silent pretty lovely nice epic dramatic moody gloomy dark bright warm cool cold hot wet dry clear \
    deep heavy big small large tiny huge tall short long old new young empty lonely alone wild romantic dreamy magical happy sad cozy \
    fresh early late good great awesome perfect gentle pale faint idyllic \
    rise set shine break come go begin end pour blow drift meet fade";

/// The endings of English participles and adjectives.
pub(super) const ENDINGS: [&str; 5] = ["ing", "ed", "ful", "ous", "less"];

/// The particles that make a modifier of the Chinese words before them.
pub(super) const MODIFIER_MARKS: &str = "的地之";

/// Chinese words of more than one character, separated by spaces: time, light, nature, pictures and their quality, and verbs.
pub(super) const CHINESE_WORDS: &str = "\
    时分 时候 时光 期间 天空 天气 季节 自然 世界 空气 地平线 光线 光影 颜色 色调 彩色 水面 地面 画面 正在 \
    绘制 生成 创作 图片 图像 照片 摄影 插画 漫画 动漫 卡通 风格 风景 场景 背景 氛围 意境 感觉 质感 构图 镜头 \
    高清 超清 写实 真实 逼真 精致 细节 唯美 梦幻 浪漫 宁静 安静 平静 寂静 温暖 寒冷 明亮 昏暗 美丽 漂亮 清新 可爱 壮丽 壮观 神秘 孤独 \
    升起 东升 纷飞 飘落 降临 来临 笼罩 弥漫 倾盆 盛开 绽放 盘旋 翱翔 嬉戏 漫步 交加 绵绵 纷纷 滂沱 朦胧 依偎 奔驰 穿梭 凝视 睡觉 玩耍";

/// Single Chinese characters: particles, numbers, measure words, places, qualities, and common verbs.
pub(super) const CHINESE_CHARACTERS: &str = "\
    了着过得是有在和与跟及或并而也都很更最太又再就还从到向往把被让给对为于以其这那此每各我你他她它们\
    一二三四五六七八九十百千万两几半多少个只条匹头朵棵株辆艘座栋幅张群片束枝位名件支双些次\
    上下里中内外旁边前后间底侧左右东西南北方处顶脚坡岸畔滨时小大老新旧长高远近深浅轻静美色景儿\
    坐站立躺趴卧蹲睡跑跳走飞飘满游吃喝看望追赶骑戴穿拿抱玩开停行驶漂浮叫笑唱拉推奔盛落挂照映起来去出进回见抓咬捕钓划靠泊\
    请画图天光影风水春夏秋冬";
