//! Compiles the .proto files with protox, so that no protoc has to be installed.

use std::{env, error::Error, fs, path::PathBuf};

use prost::Message;

/// The APIs, each a folder of .proto files. Every API has its own copy of the package `common`, so
/// each is compiled by itself and its code goes to a folder of its own.
const APIS: [(&str, &[&str]); 3] = [
    ("controller", &["common/common.proto", "controller/controller.proto"]),
    ("worker", &["worker/worker.proto"]),
    ("etcd", &["etcd.proto"]),
];

fn main() -> Result<(), Box<dyn Error>> {
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("no OUT_DIR")?);
    for (api, files) in APIS {
        println!("cargo::rerun-if-changed={api}");
        let paths = files.iter().map(|file| format!("{api}/{file}"));
        let descriptors = protox::compile(paths, [api])?;
        let folder = out.join(api);
        fs::create_dir_all(&folder)?;
        fs::write(folder.join("descriptors.bin"), descriptors.encode_to_vec())?;
        tonic_prost_build::configure()
            .out_dir(folder)
            // The data of a call is passed on without a copy.
            .bytes(".common.CallRequest.data")
            .bytes(".common.CallResponse.data")
            // A store keeps keys and values, and answers with them.
            .bytes(".etcdserverpb")
            .codec_path("crate::SmallMessages")
            .compile_fds(descriptors)?;
    }
    Ok(())
}
