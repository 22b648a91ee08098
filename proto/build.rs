//! Compiles the .proto files with protox, so that no protoc has to be installed.

use std::{env, error::Error, fs, path::PathBuf};

use prost::Message;

fn main() -> Result<(), Box<dyn Error>> {
    let files = ["common/common.proto", "controller/controller.proto"];
    for file in files {
        println!("cargo::rerun-if-changed={file}");
    }
    let mut descriptors = protox::compile(files, ["."])?;
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("no OUT_DIR")?);
    fs::write(out.join("platform.bin"), descriptors.encode_to_vec())?;
    answer_as_a_stream(&mut descriptors, "Call");
    tonic_prost_build::configure()
        // A call's body is handed on without being copied.
        .bytes(".common.CallRequest.data")
        .bytes(".common.CallResponse.data")
        .compile_fds(descriptors)?;
    Ok(())
}

/// A unary answer and a stream of one are the same bytes on the wire, but tonic lets only a stream
/// end with trailers of one's own, and gives a client only a stream's trailers apart. So the code
/// is generated for a stream; the descriptors that clients are shown stay as they are written.
fn answer_as_a_stream(descriptors: &mut prost_types::FileDescriptorSet, method: &str) {
    let methods = descriptors.file.iter_mut().flat_map(|file| &mut file.service);
    for found in methods.flat_map(|service| &mut service.method) {
        if found.name() == method {
            found.server_streaming = Some(true);
        }
    }
}
