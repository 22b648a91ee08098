//! Values that a model keeps in other files.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
};

use hyperfake_predictor::{ErrorKind, ModelUri, Result};
use hyperfake_predictor_onnx::{
    MAX_EXTERNAL_BYTES, OnnxFile, numbers,
    pb::{
        AttributeProto, GraphProto, ModelProto, NodeProto, StringStringEntryProto, TensorProto,
        tensor_proto::{DataLocation, DataType},
    },
};
use hyperfake_predictor_testkit::onnx::{Dim, Model};
use prost::Message;
use tempfile::TempDir;

/// Three numbers in an external file.
fn tensor(entries: &[(&str, &str)]) -> TensorProto {
    let entry = |(key, value): &(&str, &str)| StringStringEntryProto {
        key: (*key).to_owned(),
        value: (*value).to_owned(),
    };
    TensorProto {
        name: "output".to_owned(),
        dims: vec![1, 3],
        data_type: DataType::Float as i32,
        data_location: Some(DataLocation::External as i32),
        external_data: entries.iter().map(entry).collect(),
        ..Default::default()
    }
}

/// Where a model keeps the tensor.
#[derive(Debug, Clone, Copy)]
enum Place {
    Initializer,
    Constant,
    Branch,
}

const PLACES: [Place; 3] = [Place::Initializer, Place::Constant, Place::Branch];

fn model(place: Place, entries: &[(&str, &str)]) -> Vec<u8> {
    let empty = Model::new().input("x", &[Dim::Fixed(1), Dim::Fixed(5)]);
    let bytes = empty.output("output", &[Dim::Fixed(1), Dim::Fixed(3)]).to_bytes();
    let mut model = ModelProto::decode(&*bytes).unwrap();
    let constant = |tensor: TensorProto| NodeProto {
        op_type: "Constant".to_owned(),
        output: vec!["output".to_owned()],
        attribute: vec![AttributeProto {
            name: "value".to_owned(),
            r#type: 4,
            t: Some(tensor),
            ..Default::default()
        }],
        ..Default::default()
    };
    let graph = model.graph.as_mut().unwrap();
    match place {
        Place::Initializer => graph.initializer.push(tensor(entries)),
        Place::Constant => graph.node.push(constant(tensor(entries))),
        Place::Branch => graph.node.push(NodeProto {
            op_type: "If".to_owned(),
            input: vec!["x".to_owned()],
            output: vec!["output".to_owned()],
            attribute: vec![AttributeProto {
                name: "then_branch".to_owned(),
                r#type: 5,
                g: Some(GraphProto { node: vec![constant(tensor(entries))], ..Default::default() }),
                ..Default::default()
            }],
            ..Default::default()
        }),
    }
    model.encode_to_vec()
}

/// The tensor, in any part of the graph.
fn kept(file: &OnnxFile) -> TensorProto {
    let graph = file.graph().unwrap();
    if let Some(tensor) = graph.initializer.first() {
        return tensor.clone();
    }
    let attribute = &graph.node[0].attribute[0];
    let inner = attribute.g.as_ref().map(|graph| &graph.node[0].attribute[0]);
    inner.unwrap_or(attribute).t.clone().unwrap()
}

fn read(path: &Path) -> Result<OnnxFile> {
    OnnxFile::read(&ModelUri::from_path(path), 1 << 20)
}

fn folder() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.onnx");
    (folder, path)
}

fn floats(values: [f32; 3]) -> Vec<u8> {
    values.map(f32::to_le_bytes).concat()
}

#[test]
fn external_values_are_inlined_in_every_part_of_a_graph() {
    for place in PLACES {
        let (folder, path) = folder();
        let data = [vec![9; 4], floats([7e6, 0.5, 8e6]), vec![9; 4]].concat();
        fs::write(folder.path().join("weights.bin"), data).unwrap();
        let entries = [("location", "weights.bin"), ("offset", "4"), ("length", "12")];
        fs::write(&path, model(place, &entries)).unwrap();
        let file = read(&path).unwrap();
        // The file is not needed any more.
        fs::remove_file(folder.path().join("weights.bin")).unwrap();
        let tensor = kept(&file);
        assert_eq!(numbers(&tensor).unwrap().values, [7e6, 0.5, 8e6], "{place:?}");
        assert_eq!(tensor.data_location, None);
        // An engine is given the same.
        let engines = ModelProto::decode(&*file.bytes).unwrap();
        assert_eq!(engines, file.model);
    }
}

#[test]
fn a_model_named_in_the_current_folder_finds_its_data() {
    let (folder, path) = folder();
    fs::write(folder.path().join("weights.bin"), floats([1.0, 2.0, 3.0])).unwrap();
    fs::write(&path, model(Place::Initializer, &[("location", "weights.bin")])).unwrap();
    // A test may not change its process's folder, so another process looks.
    if std::env::var_os("READ_IN_CURRENT_FOLDER").is_some() {
        read(Path::new("model.onnx")).unwrap();
        return;
    }
    let test = std::env::current_exe().unwrap();
    let name = "a_model_named_in_the_current_folder_finds_its_data";
    let child = Command::new(test)
        .args(["--exact", name])
        .env("READ_IN_CURRENT_FOLDER", "1")
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stdout));
}

#[test]
fn links_as_download_caches_and_mounted_volumes_keep_them_are_followed() {
    let (folder, _) = folder();
    let at = |path: &str| folder.path().join(path);
    for place in ["blobs", "snapshots/abc", "volume/..2026"] {
        fs::create_dir_all(at(place)).unwrap();
    }
    let bytes = model(Place::Initializer, &[("location", "model.onnx_data")]);
    // A cache: both are links to files of other names in another folder.
    fs::write(at("blobs/1111"), &bytes).unwrap();
    fs::write(at("blobs/2222"), floats([1.0, 2.0, 3.0])).unwrap();
    symlink("../../blobs/1111", at("snapshots/abc/model.onnx")).unwrap();
    symlink("../../blobs/2222", at("snapshots/abc/model.onnx_data")).unwrap();
    read(&at("snapshots/abc/model.onnx")).unwrap();
    // A volume: a link to a folder that is replaced as a whole.
    fs::write(at("volume/..2026/model.onnx"), &bytes).unwrap();
    fs::write(at("volume/..2026/model.onnx_data"), floats([1.0, 2.0, 3.0])).unwrap();
    symlink("..2026", at("volume/..data")).unwrap();
    for name in ["model.onnx", "model.onnx_data"] {
        symlink(format!("..data/{name}"), at("volume").join(name)).unwrap();
    }
    read(&at("volume/model.onnx")).unwrap();
    // Only the model is a link: its data is beside the file that it leads to.
    fs::write(at("blobs/model.onnx_data"), floats([1.0, 2.0, 3.0])).unwrap();
    fs::remove_file(at("snapshots/abc/model.onnx_data")).unwrap();
    read(&at("snapshots/abc/model.onnx")).unwrap();
}

#[test]
fn data_outside_the_model_s_folders_is_refused() {
    let (folder, _) = folder();
    fs::create_dir(folder.path().join("inside")).unwrap();
    let path = folder.path().join("inside/model.onnx");
    fs::write(folder.path().join("secret"), floats([1.0, 2.0, 3.0])).unwrap();
    symlink("../secret", folder.path().join("inside/link")).unwrap();
    for (location, expected) in [
        ("../secret", "expected a path below the model's folder"),
        ("/etc/hostname", "expected a path below the model's folder"),
        ("link", "which is not below the model's folder; copy the file there"),
    ] {
        for place in PLACES {
            fs::write(&path, model(place, &[("location", location)])).unwrap();
            let error = read(&path).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid);
            let text = error.to_string();
            assert!(text.contains(&format!("kept in '{location}': ")), "{text}");
            assert!(text.contains(expected), "{text}");
        }
    }
}

#[test]
fn data_that_is_no_regular_file_missing_short_or_huge_is_refused_without_waiting() {
    let (folder, path) = folder();
    let at = |name: &str| folder.path().join(name);
    assert!(Command::new("mkfifo").arg(at("pipe")).status().unwrap().success());
    fs::create_dir(at("folder")).unwrap();
    fs::write(at("short"), [0; 8]).unwrap();
    fs::File::create(at("huge")).unwrap().set_len(6 << 30).unwrap();
    for (entries, expected) in [
        (&[("location", "pipe")][..], "it is not a regular file"),
        (&[("location", "folder")], "it is not a regular file"),
        (&[("location", "missing")], "it cannot be read: No such file"),
        (
            &[("location", "short"), ("length", "12")],
            "the file has 8 bytes, and 12 bytes are expected from byte 0 on",
        ),
        (
            &[("location", "short"), ("offset", "18446744073709551615")],
            "the file has 8 bytes, and 0 bytes are expected from byte 18446744073709551615 on",
        ),
        (&[("location", "huge")], "has more than 268435456 bytes of external data"),
        (&[("location", "short"), ("offset", "-4")], "found offset '-4', expected a number"),
        (&[], "no location is stated"),
    ] {
        for place in PLACES {
            fs::write(&path, model(place, entries)).unwrap();
            let error = read(&path).unwrap_err();
            // Not `NotFound`, which would say that the model itself is missing.
            assert_eq!(error.kind(), ErrorKind::Invalid);
            assert!(error.to_string().contains(expected), "{error}");
        }
    }
    assert_eq!(MAX_EXTERNAL_BYTES, 268_435_456);
}
