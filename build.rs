//! Compiles `proto/` without any external program and keeps the descriptor set for reflection.

use std::{env, error::Error, fs, path::PathBuf};

fn main() -> Result<(), Box<dyn Error>> {
    // protox prints no rerun lines; without this one, touching any file of the package rebuilds every crate.
    println!("cargo::rerun-if-changed=proto/triptych");
    let files =
        ["chat", "image", "video", "model", "media", "error"].map(|panel| format!("proto/triptych/v1/{panel}.proto"));
    let descriptors = protox::compile(files, ["proto"])?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("descriptors.bin"), protox::prost::Message::encode_to_vec(&descriptors))?;
    tonic_prost_build::configure()
        // Pictures and stream chunks are shared, not copied, on their way through.
        .bytes(".")
        .btree_map(".")
        .compile_fds(descriptors)?;
    Ok(())
}
