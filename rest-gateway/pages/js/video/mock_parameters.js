// What the pages request of the built-in video engine.

/// A short and small clip, as the engine draws on the CPU. Connected models have their own defaults.
export const MOCK_PARAMETERS = { size: "640x360", seconds: "3" };
