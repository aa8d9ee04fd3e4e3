//! The known words by meaning: English in the singular (plurals match too), Chinese as in running text.

use super::terms::Scene as S;
use super::terms::Subject as T;
use super::terms::{Meaning, Style, Time, Weather};
use crate::colour::hex;

const fn colour(code: u32) -> Meaning {
    Meaning::Colour(hex(code))
}

/// Comma-separated words and their meaning.
pub(super) const TABLE: &[(&str, Meaning)] = &[
    (
        "mountain, mountainous, alps, alpine, peak, hill, valley, canyon, cliff, summit, highland, himalaya, fuji",
        Meaning::Scene(S::Mountains),
    ),
    (
        "山, 山脉, 群山, 高山, 雪山, 山谷, 山峰, 峡谷, 悬崖, 丘陵, 山水, 富士山, 山川, 山峦, 山丘, 山野, 山岭, 山清水秀",
        Meaning::Scene(S::Mountains),
    ),
    ("sea, ocean, beach, coast, seaside, shore, wave, harbor, harbour, bay, island, seascape", Meaning::Scene(S::Sea)),
    ("海, 大海, 海边, 海洋, 海滩, 沙滩, 海岸, 海浪, 港口, 海湾, 岛, 岛屿, 海上, 海面, 海平面", Meaning::Scene(S::Sea)),
    ("lake, pond, reflection, river, lagoon, fjord, stream, waterfall", Meaning::Scene(S::Lake)),
    ("湖, 湖泊, 湖面, 湖边, 池塘, 倒影, 河, 河流, 江, 江南, 溪, 瀑布, 西湖, 溪流, 小溪, 河滩", Meaning::Scene(S::Lake)),
    ("forest, wood, woodland, jungle, grove, pine, bamboo, rainforest", Meaning::Scene(S::Forest)),
    ("森林, 树林, 林, 丛林, 竹林, 竹, 松树, 松林, 林间, 竹子, 竹叶, 林荫", Meaning::Scene(S::Forest)),
    ("desert, dune, sahara, sand dune", Meaning::Scene(S::Desert)),
    ("沙漠, 沙丘, 戈壁, 大漠", Meaning::Scene(S::Desert)),
    (
        "city, cityscape, skyline, street, skyscraper, downtown, town, metropolis, building, tokyo, shanghai, new york, urban",
        Meaning::Scene(S::City),
    ),
    ("城市, 都市, 街道, 街头, 摩天楼, 高楼, 上海, 北京, 东京, 香港, 天际线, 夜城", Meaning::Scene(S::City)),
    (
        "meadow, field, grassland, prairie, garden, park, countryside, farm, spring, grass, lavender",
        Meaning::Scene(S::Meadow),
    ),
    (
        "草地, 草原, 田野, 花园, 公园, 乡村, 麦田, 原野, 花海, 田园, 春天, 草坪, 花田, 鸟语花香",
        Meaning::Scene(S::Meadow),
    ),
    ("room, window, interior, indoor, bedroom, living room, windowsill, office, kitchen", Meaning::Scene(S::Room)),
    ("窗, 窗边, 窗前, 窗户, 窗台, 房间, 室内, 卧室, 客厅, 屋里, 书房, 窗子", Meaning::Scene(S::Room)),
    ("studio, still life, backdrop, product, table", Meaning::Scene(S::Studio)),
    ("静物, 桌子, 桌上, 影棚", Meaning::Scene(S::Studio)),
    ("space, outer space, galaxy, nebula, universe, cosmos, planet, cosmic, solar system", Meaning::Scene(S::Space)),
    ("太空, 宇宙, 银河, 星系, 星云, 星球, 行星", Meaning::Scene(S::Space)),
    ("on the moon, moon surface, lunar, lunar surface, moonscape, alien planet", Meaning::Scene(S::Lunar)),
    ("月球, 月球上, 月面, 月球表面", Meaning::Scene(S::Lunar)),
    ("mars, martian, red planet, 火星, 火星上, 火星表面", Meaning::Scene(S::Mars)),
    ("underwater, coral, reef, aquarium, deep sea", Meaning::Scene(S::Underwater)),
    ("水下, 海底, 珊瑚, 水族馆", Meaning::Scene(S::Underwater)),
    ("abstract, geometric, pattern, shape, gradient, bauhaus, wallpaper, circle", Meaning::Scene(S::Abstract)),
    ("抽象, 几何, 图案, 渐变, 壁纸", Meaning::Scene(S::Abstract)),
    ("cat, kitten, kitty, feline, 猫, 小猫, 猫咪, 花猫, 喵", Meaning::Subject(T::Cat)),
    ("dog, puppy, puppies, corgi, hound, retriever, 狗, 小狗, 犬, 柯基", Meaning::Subject(T::Dog)),
    ("rabbit, bunny, hare, 兔, 兔子, 小兔", Meaning::Subject(T::Rabbit)),
    ("bird, seagull, gull, crane, eagle, swallow, 鸟, 小鸟, 飞鸟, 海鸥, 鹤, 雁, 鹰, 燕子", Meaning::Subject(T::Birds)),
    (
        "portrait, person, woman, man, girl, boy, headshot, face, people, lady, child, model",
        Meaning::Subject(T::Portrait),
    ),
    ("人像, 肖像, 女孩, 男孩, 女人, 男人, 人物, 头像, 少女, 少年, 证件照, 美女", Meaning::Subject(T::Portrait)),
    ("astronaut, spaceman, cosmonaut, 宇航员, 航天员, 太空人", Meaning::Subject(T::Astronaut)),
    ("bicycle, bike, cycling, 自行车, 单车, 脚踏车", Meaning::Subject(T::Bicycle)),
    ("robot, android, 机器人", Meaning::Subject(T::Robot)),
    ("tree, oak, maple, willow, 树, 大树, 枫树, 柳树, 树木, 树叶, 树枝", Meaning::Subject(T::Tree)),
    ("cherry blossom, cherry tree, sakura, blossom, 樱花, 桃花, 梅花, 花树", Meaning::Subject(T::Blossom)),
    (
        "house, cottage, cabin, hut, barn, home, 房子, 小屋, 木屋, 农舍, 房屋, 村庄, 村落, 山村, 小村",
        Meaning::Subject(T::House),
    ),
    ("castle, fortress, palace, 城堡, 宫殿, 古堡", Meaning::Subject(T::Castle)),
    ("lighthouse, 灯塔", Meaning::Subject(T::Lighthouse)),
    (
        "pagoda, temple, shrine, 宝塔, 塔, 寺, 寺庙, 古塔, 亭, 庙, 塔楼, 寺院, 庙宇, 亭子, 亭台",
        Meaning::Subject(T::Pagoda),
    ),
    ("boat, ship, sailboat, sail, yacht, canoe, 船, 小船, 帆船, 渔船, 孤舟, 舟, 船帆, 船舶", Meaning::Subject(T::Boat)),
    (
        "car, automobile, vehicle, sedan, convertible, 汽车, 轿车, 车, 跑车, 老爷车, 小汽车, 车辆, 车流, 车子",
        Meaning::Subject(T::Car),
    ),
    ("rocket, spaceship, spacecraft, starship, 火箭, 飞船, 宇宙飞船", Meaning::Subject(T::Rocket)),
    ("balloon, hot air balloon, 气球, 热气球", Meaning::Subject(T::Balloon)),
    (
        "flower, rose, tulip, sunflower, daisy, lotus, bouquet, lily, 花, 花朵, 玫瑰, 郁金香, 向日葵, 荷花, 莲花, 鲜花, 牡丹, 花瓣, 花丛, 花卉",
        Meaning::Subject(T::Flower),
    ),
    ("fish, goldfish, koi, shark, whale, dolphin, 鱼, 金鱼, 锦鲤, 鲸, 海豚", Meaning::Subject(T::Fish)),
    ("cup, coffee, tea, mug, latte, espresso, teacup, 杯, 杯子, 咖啡, 茶, 茶杯", Meaning::Subject(T::Cup)),
    ("sun, sunshine, 太阳, 阳光, 烈日, 暖阳", Meaning::Subject(T::Sun)),
    ("moon, moonlight, full moon, crescent, 月亮, 明月, 月光, 月下, 月, 满月, 月色, 月牙", Meaning::Subject(T::Moon)),
    (
        "dawn, sunrise, daybreak, morning, early morning, 日出, 黎明, 清晨, 早晨, 朝阳, 晨曦, 拂晓, 早上, 凌晨",
        Meaning::Time(Time::Dawn),
    ),
    (
        "noon, midday, day, daytime, afternoon, sunny, summer, blue sky, 中午, 正午, 白天, 午后, 晴天, 晴朗, 夏天, 蓝天, 上午, 下午",
        Meaning::Time(Time::Day),
    ),
    ("sunset, golden hour, sundown, 日落, 夕阳, 落日, 晚霞, 黄金时刻", Meaning::Time(Time::Sunset)),
    ("dusk, twilight, evening, blue hour, 黄昏, 傍晚, 暮色", Meaning::Time(Time::Dusk)),
    (
        "night, midnight, starry, star, milky way, starlight, night sky, 夜, 夜晚, 夜空, 深夜, 星空, 星星, 夜景, 夜色, 午夜, 晚上",
        Meaning::Time(Time::Night),
    ),
    ("cloud, cloudy, overcast, 云, 多云, 云海, 白云", Meaning::Weather(Weather::Cloudy)),
    ("fog, mist, misty, foggy, haze, hazy, smoke, 雾, 薄雾, 云雾, 迷雾, 烟雨", Meaning::Weather(Weather::Fog)),
    ("rain, rainy, drizzle, shower, 雨, 下雨, 雨天, 雨夜", Meaning::Weather(Weather::Rain)),
    (
        "snow, snowy, snowfall, blizzard, winter, ice, frost, glacier, christmas, 雪, 下雪, 冬天, 冬日, 雪景, 冰, 冰川, 雪地, 雪花",
        Meaning::Weather(Weather::Snow),
    ),
    (
        "storm, stormy, thunder, lightning, thunderstorm, 暴风雨, 风暴, 雷雨, 闪电, 雷电",
        Meaning::Weather(Weather::Storm),
    ),
    ("aurora, northern lights, aurora borealis, 极光", Meaning::Weather(Weather::Aurora)),
    ("watercolor, watercolour, aquarelle, 水彩, 水彩画", Meaning::Style(Style::Watercolour)),
    ("ink, ink wash, sumi, sumi e, chinese painting, 水墨, 国画, 水墨画, 中国画, 墨", Meaning::Style(Style::Ink)),
    ("pixel, pixel art, 8 bit, 8bit, 16 bit, retro game, 像素, 像素画, 像素风", Meaning::Style(Style::Pixel)),
    ("neon, cyberpunk, synthwave, vaporwave, retrowave, 霓虹, 赛博朋克, 蒸汽波", Meaning::Style(Style::Neon)),
    ("minimal, minimalist, minimalism, minimalistic, flat, simple, 极简, 简约, 扁平", Meaning::Style(Style::Minimal)),
    (
        "oil, oil painting, impressionist, impressionism, van gogh, monet, 油画, 印象派, 梵高",
        Meaning::Style(Style::Oil),
    ),
    ("futuristic, future, sci fi, science fiction, utopia, 未来, 科幻, 未来感", Meaning::Futuristic),
    ("red, crimson, scarlet, ruby, 红, 红色, 赤", colour(0x00d6_3a33)),
    ("orange, amber, 橙, 橙色, 橘色", colour(0x00ee_8434)),
    ("yellow, gold, golden, 黄, 黄色, 金色, 金", colour(0x00f2_c14e)),
    ("green, emerald, 绿, 绿色, 碧绿, 翠绿", colour(0x004a_9e62)),
    ("teal, turquoise, cyan, aqua, mint, 青, 青色, 青绿, 薄荷", colour(0x0032_a6a4)),
    ("blue, azure, navy, indigo, 蓝, 蓝色, 湛蓝, 深蓝", colour(0x0036_70c8)),
    ("purple, violet, magenta, 紫, 紫色", colour(0x0085_54b8)),
    ("pink, 粉, 粉色, 粉红, 粉红色", colour(0x00ee_8fb0)),
    ("brown, 棕, 棕色, 褐色", colour(0x008b_5e3c)),
    ("black, 黑, 黑色", colour(0x002a_2a30)),
    ("white, 白, 白色, 雪白", colour(0x00f2_efe8)),
    ("grey, gray, silver, 灰, 灰色, 银色, 银", colour(0x0092_979e)),
    // Subjects whose name contains that of another one: neither 熊猫 (a panda) nor 猫头鹰 (an owl) is a 猫 (cat).
    (
        "熊猫, 大熊猫, 小熊猫, 猫头鹰, 猫鼬, 狸猫, 果子狸猫, 猫薄荷, 猫粮, 狗熊, 热狗, 海狗, 狗粮, 狗尾草, 兔子舞, 蝙蝠, 蜗牛",
        Meaning::Unknown,
    ),
    (
        "河马, 海马, 斑马, 海豹, 海狮, 海象, 海星, 海胆, 海龟, 海螺, 海带, 海绵, 海盗, 山羊, 山药, 山楂, 雪豹, 雪茄, 雪糕, 冰箱, 冰淇淋",
        Meaning::Unknown,
    ),
    (
        "鳄鱼, 章鱼, 鱿鱼, 墨鱼, 甲鱼, 美人鱼, 鱼缸, 鱼竿, 鱼雷, 鸟巢, 鹰嘴豆, 企鹅, 鹤嘴锄, 树懒, 树袋熊, 松鼠, 竹鼠",
        Meaning::Unknown,
    ),
    (
        "火车, 列车, 马车, 风车, 水车, 缆车, 摩托车, 三轮车, 婴儿车, 购物车, 坦克车, 车站, 车票, 车厘子, 飞机",
        Meaning::Unknown,
    ),
    (
        "金字塔, 铁塔, 埃菲尔铁塔, 水塔, 船锚, 花生, 花椰菜, 花椒, 棉花糖, 爆米花, 烟花, 火花, 豆花, 茶几, 月饼, 杯子蛋糕",
        Meaning::Unknown,
    ),
    (
        "hot dog, prairie dog, dog tag, cat food, cat fish, sea lion, sea horse, sea turtle, sea urchin, guinea pig, polar bear",
        Meaning::Unknown,
    ),
    (
        "tree frog, tree house, bird cage, bird house, house fly, house plant, fish tank, fish hook, car wash, car key, coffee table, tea pot",
        Meaning::Unknown,
    ),
    (
        "ice cream, snow leopard, snow globe, spring roll, moon cake, cup cake, rose gold, sun glasses, sun hat",
        Meaning::Unknown,
    ),
    ("木鱼, 世界杯, 蜜月, 竹简, 山竹, 茶馆", Meaning::Unknown),
    (
        "oil lamp, cat eye, park bench, crane operator, car park, wave function, sun god, face mask, street food",
        Meaning::Unknown,
    ),
    ("sea of people", Meaning::Unknown),
    ("tea tree, fire truck, flying fish, star fish, mars bar, space bar, chocolate bar, wood stove", Meaning::Unknown),
    // Words that contain a known word and mean something else: 三月 (March) is not about 月 (the moon).
    (
        "一月, 二月, 三月, 四月, 五月, 六月, 七月, 八月, 九月, 十月, 十一月, 十二月, 岁月, 月份, 金融, 黄山, 北京时间, 红烧, 海报, 山东, 花费",
        Meaning::Ignored,
    ),
    (
        "云计算, 云服务, 雨果, 江山, 风云, 犬儒, 海外, 海拔, 星期, 林肯, 河南, 河北, 湖南, 湖北, 云南, 浙江",
        Meaning::Ignored,
    ),
    ("white balance, black and white, model photo", Meaning::Ignored),
];
