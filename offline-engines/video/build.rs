//! Tells the crate whether the H.264 encoder beside it is built with its hand-written assembly.

use std::{env, process::Command};

fn main() {
    println!("cargo::rustc-check-cfg=cfg(assembler)");
    // The encoder's own build script looks for nasm once and is not run again when PATH changes. Neither is this one:
    // an answer renewed later would describe another build than the one that is linked.
    println!("cargo::rerun-if-changed=build.rs");
    if encoder_has_assembly() {
        println!("cargo::rustc-cfg=assembler");
    }
}

/// Repeats the encoder's rule: NEON sources go through the C compiler, x86 sources need nasm and are left out in silence
/// where it is missing.
fn encoder_has_assembly() -> bool {
    let target = |part: &str| env::var(format!("CARGO_CFG_TARGET_{part}")).unwrap_or_default();
    match target("ARCH").as_str() {
        "arm" | "aarch64" => target("OS") != "windows",
        "x86" | "x86_64" => env::var_os("OPENH264_NO_ASM").is_none() && nasm_answers(),
        _ => false,
    }
}

fn nasm_answers() -> bool {
    let nasm = env::var_os("NASM").unwrap_or_else(|| "nasm".into());
    Command::new(nasm).arg("-v").output().is_ok_and(|answer| answer.status.success())
}
