//! The words for camera moves, in English and Chinese.

use super::types::Direction::{self, Down, In, Left, Out, Right, Up};
use super::types::Pace;

/// A camera move that an English word names.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Verb {
    /// In any direction; to the right if the prompt names none.
    Pan,
    /// Vertically; upwards if the prompt names no direction.
    Tilt,
    /// A change of the field of view; inwards if the prompt names no direction.
    Zoom,
    /// As `Zoom`, but stronger.
    Dolly,
    /// Only together with a direction: "the stars move" does not refer to the camera. Inwards or outwards it is a dolly move.
    Travel,
    /// The seed selects the side if the prompt names none.
    Orbit,
    /// Camera shake, which has no direction.
    Handheld,
}

/// Word stems by verb. A stem also matches with one of [`ENDINGS`]. "camera" counts as a verb for "camera up" and "no camera
/// movement".
pub(super) const VERBS: &[(Verb, &[&str])] = &[
    (Verb::Pan, &["pan", "truck", "slide"]),
    (Verb::Tilt, &["tilt"]),
    (Verb::Zoom, &["zoom"]),
    (Verb::Dolly, &["dolly"]),
    (Verb::Travel, &["move", "push", "pull", "glide", "drift", "crane", "pedestal", "track", "camera", "fly"]),
    (Verb::Orbit, &["orbit", "circle", "arc", "revolve"]),
    (Verb::Handheld, &["shake", "handheld", "jitter", "wobble"]),
];
/// A word of [`VERBS`] that is no verb but an object if it follows another verb: in "zoom the camera out", the direction belongs to
/// the zoom.
pub(super) const CAMERA: &str = "camera";
/// Words between a verb and its object.
pub(super) const DETERMINERS: &[&str] = &["the", "a", "this", "your", "our"];
/// Endings of a stem: "pans", "panned", "panning", "jittery".
pub(super) const ENDINGS: &[&str] = &["", "s", "es", "ed", "ing", "ning", "ned", "y"];

/// Words by direction. Their endings are part of the list.
pub(super) const DIRECTIONS: &[(Direction, &[&str])] = &[
    (Left, &["left", "leftward", "leftwards"]),
    (Right, &["right", "rightward", "rightwards"]),
    (Up, &["up", "upward", "upwards"]),
    (Down, &["down", "downward", "downwards"]),
    (In, &["in", "into", "inward", "inwards", "forward", "forwards", "closer", "toward", "towards"]),
    (Out, &["out", "outward", "outwards", "back", "backward", "backwards", "away"]),
];
/// Maximum distance, in words, of a direction after its verb. If several directions of one axis are in reach, the last one
/// applies: "from left to right".
pub(super) const REACH_AFTER: usize = 5;
/// Maximum distance, in words, of a direction before its verb: "a leftward pan".
pub(super) const REACH_BEFORE: usize = 1;

/// Words for a slow pace of all moves.
pub(super) const SLOW: &[&str] =
    &["slow", "slowly", "gentle", "gently", "subtle", "subtly", "calm", "calmly", "soft", "softly"];
/// Words for a fast pace of all moves.
pub(super) const FAST: &[&str] =
    &["fast", "quick", "quickly", "rapid", "rapidly", "swift", "swiftly", "whip", "dramatic"];
/// Words for a camera that does not move. A move in the same prompt takes precedence: "still water, pan right".
pub(super) const STILL: &[&str] = &["static", "still", "stationary", "motionless", "fixed", "locked", "tripod"];
/// Words that negate a verb after them: "no zoom".
pub(super) const NEGATIONS: &[&str] = &["no", "not", "without", "never", "dont", "don't"];
/// Maximum distance, in words, of a negation before its verb: "no camera movement".
pub(super) const NEGATION_REACH: usize = 2;

/// Chinese terms by meaning: the customary terms of film crews and of prompt guides. Meanings apply in this order: the
/// directions precede the orbit, which starts to the side that they name.
pub(super) const CHINESE_TERMS: &[(&[&str], Meaning)] = &[
    (&["向左", "左移", "左摇", "往左", "朝左"], Meaning::Go(Left)),
    (&["向右", "右移", "右摇", "往右", "朝右"], Meaning::Go(Right)),
    (&["向上", "上摇", "上移", "往上", "仰拍", "上升", "升镜头", "抬升"], Meaning::Go(Up)),
    (&["向下", "下摇", "下移", "往下", "俯拍", "下降", "降镜头"], Meaning::Go(Down)),
    (&["推近", "推进", "推入", "推镜", "向前", "前推"], Meaning::Dolly(In)),
    (&["拉远", "拉出", "拉镜", "后拉", "后退", "向后"], Meaning::Dolly(Out)),
    (&["拉近", "放大", "变焦", "特写推"], Meaning::Go(In)),
    (&["缩小"], Meaning::Go(Out)),
    (&["平移", "摇镜", "移镜", "横移", "摇摄"], Meaning::Pan),
    (&["环绕", "绕拍", "围绕", "旋转", "盘旋"], Meaning::Orbit),
    (&["手持", "抖动", "晃动", "摇晃"], Meaning::Handheld),
    (&["静止", "固定", "不动", "静态"], Meaning::Still),
    (&["缓慢", "缓缓", "慢慢", "慢速", "轻柔", "柔和", "轻轻"], Meaning::Pace(Pace::Slow)),
    (&["快速", "迅速", "急速", "飞快", "急推"], Meaning::Pace(Pace::Fast)),
];

/// The meaning of a Chinese term.
#[derive(Clone, Copy)]
pub(super) enum Meaning {
    /// A pan, tilt or zoom, whichever has this direction.
    Go(Direction),
    /// A stronger zoom in this direction.
    Dolly(Direction),
    /// To the right, unless another term names a direction.
    Pan,
    Orbit,
    Handheld,
    Still,
    Pace(Pace),
}
