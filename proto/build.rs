//! Compiles the .proto files with protox, so that no protoc has to be installed.

use std::{env, error::Error, fs, path::PathBuf};

use prost::Message;

fn main() -> Result<(), Box<dyn Error>> {
    let files = ["common/common.proto", "controller/controller.proto"];
    for file in files {
        println!("cargo::rerun-if-changed={file}");
    }
    let descriptors = protox::compile(files, ["."])?;
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("no OUT_DIR")?);
    fs::write(out.join("platform.bin"), descriptors.encode_to_vec())?;
    tonic_prost_build::configure()
        // A call's body is handed on without being copied.
        .bytes(".common.CallRequest.data")
        .bytes(".common.CallResponse.data")
        .codec_path("crate::SmallMessages")
        .compile_fds(descriptors)?;
    Ok(())
}
