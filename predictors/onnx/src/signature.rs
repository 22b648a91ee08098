use hyperfake_predictor::{Error, Feature, Levels, Output, RawPrediction, Result, Settings};

use crate::{Element, Port, Size};

/// A graph that insists on a larger batch than this is refused: each call would compute it all.
pub const MAX_ROWS: usize = 1024;

/// What a model takes and gives, and what the numbers mean.
#[derive(Debug, Clone, PartialEq)]
pub struct Signature {
    /// The inputs, in the order in which the file declares them.
    pub inputs: Vec<Input>,
    /// The batch size on which the file insists.
    pub rows: Option<usize>,
    /// The outputs that count: one with three numbers for each row, or three with one, in the
    /// order of [`Output::ALL`].
    pub outputs: Vec<String>,
    /// What the numbers of the only output are, in its order.
    pub targets: Targets,
    /// The levels of a model whose outputs are quantiles: as many numbers as there are levels stand
    /// in the place of each number, one after the other.
    pub levels: Option<Levels>,
    /// How many numbers each output has for a row.
    numbers: usize,
}

/// A tensor that a model takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    /// Its name.
    pub name: String,
    /// The type of its numbers.
    pub element: Element,
    /// The feature of each column.
    pub columns: Vec<Feature>,
    layout: Layout,
}

/// The layout of an input's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Layout {
    /// `[]`
    Scalar,
    /// `[rows]`, one number for each row.
    Rows,
    /// `[columns]`, for models that take one row.
    Columns,
    /// `[rows, columns]`
    Matrix,
    /// `[1, rows, columns]`
    Cube,
}

/// The order of a model's three numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Targets([Output; 3]);

impl Default for Targets {
    fn default() -> Self {
        Self(Output::ALL)
    }
}

impl Targets {
    /// From three names with commas between them; nothing unless each output is named once.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let named: Option<Vec<_>> =
            text.split(',').map(|name| Output::named(name.trim())).collect();
        let order: [Output; 3] = named?.try_into().ok()?;
        Output::ALL.iter().all(|output| order.contains(output)).then_some(Self(order))
    }

    /// The order.
    #[must_use]
    pub fn order(&self) -> [Output; 3] {
        self.0
    }
}

impl Input {
    /// Its shape for a batch of `rows` rows.
    #[must_use]
    pub fn shape(&self, rows: usize) -> Vec<usize> {
        let columns = self.columns.len();
        match self.layout {
            Layout::Scalar => Vec::new(),
            Layout::Rows => vec![rows],
            Layout::Columns => vec![columns],
            Layout::Matrix => vec![rows, columns],
            Layout::Cube => vec![1, rows, columns],
        }
    }
}

impl Signature {
    /// From what a file declares and what is said about it. `targets` is the stated order of the
    /// numbers of its output.
    ///
    /// # Errors
    ///
    /// `Unsupported` for inputs or outputs that a worker cannot use, `Invalid` when it is not said
    /// which features its columns are, or when names contradict each other; with what was found
    /// and what was expected.
    pub fn of(
        inputs: &[Port],
        outputs: &[Port],
        settings: &Settings,
        targets: Option<Targets>,
    ) -> Result<Self> {
        let (inputs, rows) = match inputs {
            [input] => one_input(input, settings)?,
            _ => named_inputs(inputs, settings)?,
        };
        if let Some(rows @ (0 | MAX_ROWS..)) = rows
            && rows != MAX_ROWS
        {
            return Err(Error::unsupported(format!(
                "the model takes {rows} rows at once, expected 1 to {MAX_ROWS}"
            )));
        }
        let outputs = choose_outputs(outputs)?;
        let targets = match outputs.len() {
            1 => targets.unwrap_or_default(),
            _ => Targets::default(),
        };
        let levels = settings.levels()?;
        let numbers = Output::ALL.len() * levels.as_ref().map_or(1, Levels::count) / outputs.len();
        Ok(Self { inputs, rows, outputs, targets, levels, numbers })
    }

    /// The features of all columns, in the order of the inputs.
    pub fn columns(&self) -> impl Iterator<Item = Feature> {
        self.inputs.iter().flat_map(|input| input.columns.iter().copied())
    }

    /// How many numbers each output has for a row: 3 or 1, for each level if there are some.
    #[must_use]
    pub fn numbers(&self) -> usize {
        self.numbers
    }

    /// How many numbers all outputs together have for a row.
    #[must_use]
    pub fn width(&self) -> usize {
        self.numbers * self.outputs.len()
    }

    /// What one of all these numbers is, for messages.
    #[must_use]
    pub fn name(&self, number: usize) -> String {
        let levels = self.levels.as_ref().map_or(&[0.0][..], Levels::as_slice);
        let output = self.targets.0[number / levels.len() % Output::ALL.len()];
        match self.levels {
            None => output.name().to_owned(),
            Some(_) => format!("{output} at the level {}", levels[number % levels.len()]),
        }
    }

    /// Whether an output of this shape holds, for a batch of `rows`, the numbers of the first row
    /// at its start.
    #[must_use]
    pub fn fits(&self, shape: &[usize], rows: usize) -> bool {
        let sizes: Vec<_> = shape.iter().copied().filter(|size| *size != 1).collect();
        let numbers = self.numbers();
        match sizes[..] {
            [] => numbers == 1,
            // A graph may give one row whatever the batch; with three rows it could be a number
            // for each of them.
            [count] if numbers == 1 => count == rows,
            [count] => count == numbers && rows != numbers,
            [count, width] => count == rows && width == numbers,
            _ => false,
        }
    }

    /// The refusal of an output that turned out not to fit.
    #[must_use]
    pub fn refuse_output(&self, name: &str, shape: &[usize], element: &str, rows: usize) -> Error {
        let sizes: Vec<_> = shape.iter().map(ToString::to_string).collect();
        let (numbers, names) = (self.numbers(), Output::ALL.map(Output::name).join(", "));
        let expected = match &self.levels {
            None if numbers == 1 => format!("one number a row, such as [{rows},1]"),
            None => format!("three numbers a row ({names}), such as [{rows},3]"),
            Some(levels) => format!(
                "{numbers} numbers a row ({} quantiles for each of {names}), such as \
                 [{rows},{numbers}]",
                levels.count()
            ),
        };
        Error::unsupported(format!(
            "output '{name}' is [{}] of {element}, expected {expected}, of {}",
            sizes.join(","),
            Element::NAMES
        ))
    }

    /// The answer whose numbers are in the model's order, for a model without levels.
    #[must_use]
    #[inline]
    pub fn prediction(&self, [a, b, c]: [f64; 3]) -> RawPrediction {
        // One by one: each call of a network comes here.
        let [first, second, third] = self.targets.0;
        let mut values = [0.0; 3];
        values[first as usize] = a;
        values[second as usize] = b;
        values[third as usize] = c;
        RawPrediction::from_array(values)
    }
}

fn one_input(port: &Port, settings: &Settings) -> Result<(Vec<Input>, Option<usize>)> {
    const EXPECTED: &str = "[1,k], [N,k] or [?,k]";
    let element = element(port)?;
    let refused = || {
        Error::unsupported(format!(
            "input '{}' has {}, expected {EXPECTED} with a column for each feature",
            port.name,
            port.shape_text()
        ))
    };
    let (layout, rows, columns) = match port.shape.as_deref() {
        None => (Layout::Matrix, None, None),
        Some([columns]) => (Layout::Columns, None, Some(columns)),
        Some([rows, columns]) => (Layout::Matrix, rows.fixed(), Some(columns)),
        Some([Size::Fixed(1) | Size::Free(_), rows, columns]) => {
            (Layout::Cube, rows.fixed(), Some(columns))
        }
        Some(_) => return Err(refused()),
    };
    let columns = match columns.map(Size::fixed) {
        Some(Some(0)) => return Err(refused()),
        Some(Some(count)) => named_column(port, count, settings)
            .map_or_else(|| settings.features(count), |feature| Ok(vec![feature]))?,
        // As many as are named.
        None | Some(None) => settings.named_features()?.ok_or_else(|| {
            let all = Feature::ALL.map(Feature::name).join(",");
            Error::invalid(format!(
                "input '{}' has {}, so nothing says how many columns it has; name them in its \
                 order, as in -m 'PATH?features={all}'",
                port.name,
                port.shape_text()
            ))
        })?,
    };
    Ok((vec![Input { name: port.name.clone(), element, columns, layout }], rows))
}

/// The feature that an input of one column is called after.
fn named_column(port: &Port, columns: usize, settings: &Settings) -> Option<Feature> {
    let stated = settings.get("features").is_some();
    Feature::named(&port.name).filter(|_| columns == 1 && !stated)
}

fn named_inputs(ports: &[Port], settings: &Settings) -> Result<(Vec<Input>, Option<usize>)> {
    const EXPECTED: &str = "expected one of the shape [1,k], [N,k] or [?,k], or one of the shape \
                            [N,1] for each feature, named like it";
    let names: Vec<_> = ports.iter().map(|port| Feature::named(&port.name)).collect();
    let features: Vec<Feature> = match names.iter().copied().collect::<Option<Vec<_>>>() {
        Some(features) if !features.is_empty() => features,
        // Their order says which is which, if it is stated.
        _ if names.iter().all(Option::is_none)
            && !ports.is_empty()
            && settings.get("features").is_some() =>
        {
            settings.features(ports.len())?
        }
        _ => {
            let listed: Vec<_> = ports.iter().map(|port| format!("'{}'", port.name)).collect();
            let listed = match listed.len() {
                0 => String::new(),
                _ => format!(" ({})", listed.join(", ")),
            };
            return Err(Error::unsupported(format!(
                "found {} inputs{listed}, {EXPECTED}",
                ports.len()
            )));
        }
    };
    if let Some(twice) = (1..features.len()).find(|&at| features[..at].contains(&features[at])) {
        return Err(Error::invalid(format!("two inputs are called after '{}'", features[twice])));
    }
    if let Some(stated) = settings.named_features()?
        && (stated.len() != features.len() || !stated.iter().all(|one| features.contains(one)))
    {
        let names = |features: &[Feature]| {
            features.iter().map(|feature| feature.name()).collect::<Vec<_>>().join(",")
        };
        return Err(Error::invalid(format!(
            "features says {}, but the model's inputs are {}",
            names(&stated),
            names(&features)
        )));
    }
    let mut rows = None;
    let mut inputs = Vec::with_capacity(ports.len());
    for (port, feature) in ports.iter().zip(features) {
        let element = element(port)?;
        let (layout, own_rows) = match port.shape.as_deref() {
            Some([]) => (Layout::Scalar, None),
            Some([rows]) => (Layout::Rows, rows.fixed()),
            Some([rows, Size::Fixed(1) | Size::Free(_)]) => (Layout::Matrix, rows.fixed()),
            None => (Layout::Matrix, None),
            Some(_) => {
                return Err(Error::unsupported(format!(
                    "input '{}' has {}, expected [N,1]: one column for one feature",
                    port.name,
                    port.shape_text()
                )));
            }
        };
        if let (Some(rows), Some(own)) = (rows, own_rows)
            && rows != own
        {
            return Err(Error::invalid(format!(
                "input '{}' takes {own} rows, and another one {rows}",
                port.name
            )));
        }
        rows = rows.or(own_rows);
        inputs.push(Input { name: port.name.clone(), element, columns: vec![feature], layout });
    }
    Ok((inputs, rows))
}

fn element(port: &Port) -> Result<Element> {
    port.element.clone().map_err(|found| {
        Error::unsupported(format!(
            "input '{}' holds {found}, expected {}",
            port.name,
            Element::NAMES
        ))
    })
}

fn choose_outputs(ports: &[Port]) -> Result<Vec<String>> {
    const EXPECTED: &str = "expected one, or one that is called 'output', or three of one number \
                            called runtime_ns, cpu_cores and ram_bytes";
    let names: Vec<_> = ports.iter().map(|port| port.name.as_str()).collect();
    let listed = || {
        let listed: Vec<_> = names.iter().map(|name| format!("'{name}'")).collect();
        if listed.is_empty() { String::new() } else { format!(" ({})", listed.join(", ")) }
    };
    if let [name] = names[..] {
        return Ok(vec![name.to_owned()]);
    }
    let whole = names.contains(&"output");
    let by_name = |output: Output| -> Vec<&str> {
        names.iter().copied().filter(|name| Output::named(name) == Some(output)).collect()
    };
    let found = Output::ALL.map(by_name);
    match (&found.each_ref().map(Vec::as_slice), whole) {
        ([[], [], []], true) => Ok(vec!["output".to_owned()]),
        ([[runtime], [cpu], [ram]], false) => {
            Ok([runtime, cpu, ram].map(|name| (*name).to_owned()).to_vec())
        }
        ([[], [], []], false) if ports.len() == 3 && ports.iter().all(is_one_number) => {
            Ok(names.iter().map(|name| (*name).to_owned()).collect())
        }
        ([[], [], []], false) => Err(Error::unsupported(format!(
            "found {} outputs{}, {EXPECTED}",
            ports.len(),
            listed()
        ))),
        _ => Err(Error::invalid(format!(
            "the names of the {} outputs{} contradict each other, {EXPECTED}",
            ports.len(),
            listed()
        ))),
    }
}

/// One number for each row, as far as the file says.
fn is_one_number(port: &Port) -> bool {
    port.element.is_ok()
        && matches!(
            port.shape.as_deref(),
            None | Some([] | [_] | [_, Size::Fixed(1) | Size::Free(_)])
        )
}
