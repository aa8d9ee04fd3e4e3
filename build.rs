//! Compiles `proto/` in pure Rust, without `protoc`, and writes the descriptor set for gRPC server reflection.

use std::{env, error::Error, fs, path::PathBuf};

fn main() -> Result<(), Box<dyn Error>> {
    // protox prints no `rerun-if-changed` lines. Without this one, a change to any file of the package would run this
    // script again and rebuild every crate that depends on the contract.
    println!("cargo::rerun-if-changed=proto/triptych");
    let files = ["chat", "response", "image", "video", "webhook", "usage", "admin", "model", "media", "error"]
        .map(|name| format!("proto/triptych/v1/{name}.proto"));
    let descriptors = protox::compile(files, ["proto"])?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("descriptors.bin"), protox::prost::Message::encode_to_vec(&descriptors))?;
    tonic_prost_build::configure()
        // `bytes::Bytes` instead of `Vec<u8>`: cloning and decoding share the buffer instead of copying images and videos.
        .bytes(".")
        // Maps with the same order in every encoding.
        .btree_map(".")
        // Large, and only in the response of one method.
        .boxed(".triptych.v1.Video.request")
        // Its buffers are smaller than those of tonic's codec.
        .codec_path("crate::codec::MessageCodec")
        .compile_fds(descriptors)?;
    Ok(())
}
