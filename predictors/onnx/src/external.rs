//! Values that an ONNX file keeps in other files: brought inside when the file is opened, so that
//! every engine is given the same whole model, and no engine opens a file itself.
//!
//! A location is relative to the model's folder and stays below it. A model that is a link, as
//! download caches and mounted volumes keep them, may have its data below the folder of the
//! link's target as well.

use std::{
    collections::HashMap,
    fs::{self, File},
    io::{self, Read, Seek, SeekFrom},
    path::{Component, Path, PathBuf},
};

use hyperfake_predictor::{Error, Result};
use tract_onnx::pb::{
    AttributeProto, GraphProto, ModelProto, NodeProto, SparseTensorProto, StringStringEntryProto,
    TensorProto, tensor_proto::DataLocation,
};

use crate::MAX_EXTERNAL_BYTES;

/// Brings the external data of a model inside; whether there was any.
///
/// # Errors
///
/// `Invalid` for data that is missing, is not a regular file, lies outside the allowed folders, is
/// cut short, or makes more than [`MAX_EXTERNAL_BYTES`] in all.
pub(crate) fn inline(model: &mut ModelProto, path: &Path) -> Result<bool> {
    let mut tensors = Vec::new();
    if let Some(graph) = &mut model.graph {
        of_graph(graph, &mut tensors);
    }
    for function in &mut model.functions {
        function.node.iter_mut().for_each(|node| of_node(node, &mut tensors));
    }
    tensors.retain(|tensor| tensor.data_location == Some(DataLocation::External as i32));
    if tensors.is_empty() {
        return Ok(false);
    }
    let mut files = Files { folders: Folders::of(path), found: HashMap::new(), bytes: 0 };
    for tensor in tensors {
        let region = Region::of(tensor).map_err(|reason| {
            Error::invalid(format!("the external values of {}: {reason}", named(tensor)))
        })?;
        tensor.raw_data = files.read(&region).map_err(|reason| {
            Error::invalid(format!(
                "the values of {} are kept in '{}': {reason}",
                named(tensor),
                region.location
            ))
        })?;
        tensor.external_data.clear();
        tensor.data_location = None;
    }
    Ok(true)
}

fn of_graph<'a>(graph: &'a mut GraphProto, tensors: &mut Vec<&'a mut TensorProto>) {
    tensors.extend(&mut graph.initializer);
    graph.sparse_initializer.iter_mut().for_each(|tensor| of_sparse(tensor, tensors));
    graph.node.iter_mut().for_each(|node| of_node(node, tensors));
}

fn of_node<'a>(node: &'a mut NodeProto, tensors: &mut Vec<&'a mut TensorProto>) {
    node.attribute.iter_mut().for_each(|attribute| of_attribute(attribute, tensors));
}

/// The value of a `Constant`, the branches of an `If`, the body of a `Loop`.
fn of_attribute<'a>(attribute: &'a mut AttributeProto, tensors: &mut Vec<&'a mut TensorProto>) {
    tensors.extend(attribute.t.iter_mut().chain(&mut attribute.tensors));
    let sparse = attribute.sparse_tensor.iter_mut().chain(&mut attribute.sparse_tensors);
    sparse.for_each(|tensor| of_sparse(tensor, tensors));
    attribute.g.iter_mut().chain(&mut attribute.graphs).for_each(|graph| of_graph(graph, tensors));
}

fn of_sparse<'a>(tensor: &'a mut SparseTensorProto, tensors: &mut Vec<&'a mut TensorProto>) {
    tensors.extend(tensor.values.iter_mut().chain(&mut tensor.indices));
}

fn named(tensor: &TensorProto) -> String {
    if tensor.name.is_empty() { "a constant".to_owned() } else { format!("'{}'", tensor.name) }
}

/// Where a tensor's values are.
struct Region {
    location: String,
    offset: u64,
    /// Without one, to the end of the file.
    length: Option<u64>,
}

impl Region {
    fn of(tensor: &TensorProto) -> Result<Self, String> {
        let entry = |key: &str| {
            let mut entries = tensor.external_data.iter();
            entries
                .find(|entry| entry.key == key)
                .map(|entry: &StringStringEntryProto| &entry.value)
        };
        let number = |key: &str| {
            entry(key).map(|text| text.parse::<u64>()).transpose().map_err(|_| {
                format!("found {key} '{}', expected a number", entry(key).map_or("", |v| v))
            })
        };
        let location = entry("location").filter(|location| !location.is_empty());
        Ok(Self {
            location: location.cloned().ok_or("no location is stated")?,
            offset: number("offset")?.unwrap_or(0),
            length: number("length")?,
        })
    }
}

/// The folders in which data may be.
struct Folders {
    /// The folder in which the model was named.
    named: PathBuf,
    /// The folder of the file that the model's name links to.
    target: Option<PathBuf>,
}

impl Folders {
    fn of(path: &Path) -> Self {
        let parent = |path: &Path| match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
            _ => PathBuf::from("."),
        };
        let target = fs::canonicalize(path).ok().map(|target| parent(&target));
        Self { named: parent(path), target }
    }

    /// The regular file at a location.
    fn find(&self, location: &str) -> Result<PathBuf, String> {
        let relative = Path::new(location);
        if !relative
            .components()
            .all(|part| matches!(part, Component::Normal(_) | Component::CurDir))
        {
            return Err("expected a path below the model's folder".to_owned());
        }
        let candidates = [Some(&self.named), self.target.as_ref()];
        let candidates: Vec<_> =
            candidates.into_iter().flatten().map(|folder| folder.join(relative)).collect();
        let place = candidates.iter().find(|place| place.exists()).unwrap_or(&candidates[0]);
        let file = fs::canonicalize(place).map_err(|error| unreadable(&error))?;
        let below = |folder: &PathBuf| {
            fs::canonicalize(folder).is_ok_and(|folder| file.starts_with(folder))
        };
        if !below(&self.named) && !self.target.as_ref().is_some_and(below) {
            return Err(format!(
                "it leads to {}, which is not below the model's folder; copy the file there",
                file.display()
            ));
        }
        Ok(file)
    }
}

/// The data files of a model.
struct Files {
    folders: Folders,
    found: HashMap<String, File>,
    /// Read so far.
    bytes: u64,
}

impl Files {
    fn read(&mut self, region: &Region) -> Result<Vec<u8>, String> {
        if !self.found.contains_key(&region.location) {
            let file = open(&self.folders.find(&region.location)?)?;
            self.found.insert(region.location.clone(), file);
        }
        let Some(file) = self.found.get_mut(&region.location) else { return Err(String::new()) };
        let size = file.metadata().map_err(|error| unreadable(&error))?.len();
        let rest = size.checked_sub(region.offset);
        let length = region.length.or(rest).unwrap_or(0);
        if rest.is_none_or(|rest| length > rest) {
            return Err(format!(
                "the file has {size} bytes, and {length} bytes are expected from byte {} on",
                region.offset
            ));
        }
        self.bytes = self.bytes.saturating_add(length);
        if self.bytes > MAX_EXTERNAL_BYTES {
            return Err(format!(
                "the model has more than {MAX_EXTERNAL_BYTES} bytes of external data"
            ));
        }
        let mut bytes = vec![0; length as usize];
        file.seek(SeekFrom::Start(region.offset))
            .and_then(|_| file.read_exact(&mut bytes))
            .map_err(|error| unreadable(&error))?;
        Ok(bytes)
    }
}

/// Opens a regular file; a pipe or a device would make the reader wait.
fn open(path: &Path) -> Result<File, String> {
    let regular = fs::metadata(path).map_err(|error| unreadable(&error))?.is_file();
    if !regular {
        return Err("it is not a regular file".to_owned());
    }
    File::open(path).map_err(|error| unreadable(&error))
}

fn unreadable(error: &io::Error) -> String {
    format!("it cannot be read: {error}")
}
