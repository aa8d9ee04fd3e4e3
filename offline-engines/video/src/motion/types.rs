//! The camera moves of a clip, as data.

/// Direction of a camera move. A pan to the right reveals more of the right side of the picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Towards the left edge.
    Left,
    /// Towards the right edge.
    Right,
    /// Towards the upper edge.
    Up,
    /// Towards the lower edge.
    Down,
    /// Towards the subject.
    In,
    /// Away from the subject.
    Out,
}

/// Speed of the camera moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Pace {
    /// Half the normal distance.
    Slow,
    /// The default.
    #[default]
    Normal,
    /// 1.7 times the normal distance.
    Fast,
}

/// The camera moves of a clip, all of which are performed simultaneously. Each field contains directions of its axis only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Motion {
    /// Horizontal move: left or right.
    pub pan: Option<Direction>,
    /// Vertical move: up or down.
    pub tilt: Option<Direction>,
    /// Change of the field of view: in or out.
    pub zoom: Option<Direction>,
    /// Whether the zoom is a dolly move, which changes the field of view more.
    pub dolly: bool,
    /// Sway around the subject, starting to the left or right.
    pub orbit: Option<Direction>,
    /// Hand-held camera shake.
    pub handheld: bool,
    /// No move except a barely visible zoom.
    pub still: bool,
    /// Speed of all moves.
    pub pace: Pace,
}
