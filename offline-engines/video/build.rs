//! Sets `cfg(encoder_assembly)` if the H.264 encoder dependency is built with its assembly code.

use std::{env, process::Command};

fn main() {
    println!("cargo::rustc-check-cfg=cfg(encoder_assembly)");
    // The encoder's build script checks for nasm once and is not run again when PATH changes. This script must not be
    // either: a later result could differ from the encoder that is linked.
    println!("cargo::rerun-if-changed=build.rs");
    if encoder_has_assembly() {
        println!("cargo::rustc-cfg=encoder_assembly");
    }
}

/// Repeats the rule of the encoder's build script: NEON sources are built by the C compiler; x86 sources require nasm and
/// are silently omitted without it.
fn encoder_has_assembly() -> bool {
    let target = |part: &str| env::var(format!("CARGO_CFG_TARGET_{part}")).unwrap_or_default();
    match target("ARCH").as_str() {
        "arm" | "aarch64" => target("OS") != "windows",
        "x86" | "x86_64" => env::var_os("OPENH264_NO_ASM").is_none() && nasm_is_available(),
        _ => false,
    }
}

fn nasm_is_available() -> bool {
    let nasm = env::var_os("NASM").unwrap_or_else(|| "nasm".into());
    Command::new(nasm).arg("-v").output().is_ok_and(|output| output.status.success())
}
