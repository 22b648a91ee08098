//! Answers as templates: JSON in which texts may use fields of the request.

use std::{fmt::Write as _, io};

use hyperfake_predictor::Error;
use minijinja::{
    AutoEscape, Environment, UndefinedBehavior, Value as Variable, context, value::Serde,
};
use prost_reflect::{DynamicMessage, Kind, MessageDescriptor, SerializeOptions};
use serde::{Serialize, Serializer};
use serde_json::Value;

use super::{
    MAX_ANSWER,
    functions::{self, RANDOM},
};

/// One of them.
pub(super) struct Template(Environment<'static>);

/// What a template can use of one call.
pub(super) struct Context(Variable);

/// What a template may do before it is stopped: about as many instructions.
const FUEL: u64 = 2_000_000;
/// How deep templates may nest, as the engine counts: a loop counts one, and a macro that is called counts six.
/// Deeper ones could double a list until it is larger than the memory.
const RECURSION: usize = 16;
/// The name of the request in a template, and that of the template in its environment.
const REQUEST: &str = "request";
const NAME: &str = "answer";

impl Template {
    /// A template that gives a text.
    ///
    /// # Errors
    ///
    /// When it is no template, and when it uses a field that the request does not have.
    pub(super) fn of_text(text: &str, request: &MessageDescriptor) -> Result<Self, Error> {
        let template = Self::empty();
        template.check(text, request)?;
        template.with(text.to_owned())
    }

    /// A template that gives JSON: this one, whose texts are templates. A text that is one
    /// expression and nothing else becomes the expression's value, such as a number or a list.
    ///
    /// # Errors
    ///
    /// As for [`Template::of_text`]; the error names the field.
    pub(super) fn of_json(json: &Value, request: &MessageDescriptor) -> Result<Self, Error> {
        let template = Self::empty();
        let mut source = Source::default();
        template.write(json, request, &mut source)?;
        template.with(source.set + &source.json)
    }

    fn empty() -> Self {
        let mut environment = Environment::new();
        environment.set_auto_escape_callback(|_| AutoEscape::None);
        // A field that is not set in this request is false, and nothing as a text; names of fields are
        // checked when a template is made.
        environment.set_undefined_behavior(UndefinedBehavior::Chainable);
        environment.set_fuel(Some(FUEL));
        // What costs more than the engine counts: lists that are doubled again and again, and JSON that is
        // indented by any number.
        environment.set_recursion_limit(RECURSION);
        environment.remove_global("namespace");
        environment.add_filter("tojson", functions::tojson);
        environment.add_function("jpeg", functions::jpeg);
        environment.add_function("random_bytes", functions::random_bytes);
        Self(environment)
    }

    fn with(mut self, source: String) -> Result<Self, Error> {
        let added = self.0.add_template_owned(NAME, source);
        added.map_err(|error| Error::invalid(format!("this is no template: {error}")))?;
        Ok(self)
    }

    fn write(
        &self,
        json: &Value,
        request: &MessageDescriptor,
        to: &mut Source,
    ) -> Result<(), Error> {
        match json {
            Value::Null | Value::Bool(_) | Value::Number(_) => to.json += &json.to_string(),
            Value::String(text) => {
                self.check(text, request)?;
                to.text(text);
            }
            Value::Array(items) => {
                to.json.push('[');
                for (index, item) in items.iter().enumerate() {
                    if index > 0 {
                        to.json.push(',');
                    }
                    self.write(item, request, to)
                        .map_err(|error| error.at(format!("[{index}]")))?;
                }
                to.json.push(']');
            }
            Value::Object(fields) => {
                to.json.push('{');
                for (index, (name, value)) in fields.iter().enumerate() {
                    if index > 0 {
                        to.json.push(',');
                    }
                    // A space, because two braces would begin an expression.
                    let _ = write!(to.json, " {}: ", Value::from(name.as_str()));
                    self.write(value, request, to).map_err(|error| error.at(name))?;
                }
                to.json += " }";
            }
        }
        Ok(())
    }

    /// Refuses a text that is no template, or that uses what there is not.
    fn check(&self, text: &str, request: &MessageDescriptor) -> Result<(), Error> {
        let template = self
            .0
            .template_from_str(text)
            .map_err(|error| Error::invalid(format!("'{text}' is no template: {error}")))?;
        for variable in template.undeclared_variables(true) {
            let mut names = variable.split('.');
            let first = names.next().unwrap_or_default();
            let is_known = first == RANDOM || self.0.globals().any(|(name, _)| name == first);
            if first == REQUEST {
                check_fields(names, request).map_err(|message| {
                    Error::invalid(format!("'{text}' uses '{variable}': {message}"))
                })?;
            } else if !is_known {
                let message = format!(
                    "'{text}' uses '{first}', expected '{REQUEST}', '{RANDOM}' or a function"
                );
                return Err(Error::invalid(message));
            }
        }
        Ok(())
    }

    pub(super) fn render(&self, context: &Context) -> Result<String, String> {
        let template = self.0.get_template(NAME).map_err(|error| error.to_string())?;
        let mut text = Limited::default();
        match template.render_captured_to(&context.0, &mut text) {
            Ok(_) => String::from_utf8(text.bytes).map_err(|error| error.to_string()),
            Err(_) if text.is_full => Err(format!("it has more than {MAX_TEXT} characters")),
            Err(error) => Err(error.to_string()),
        }
    }
}

/// The fields behind `request.`, of which each has to be one of its message.
fn check_fields<'a>(
    names: impl Iterator<Item = &'a str>,
    request: &MessageDescriptor,
) -> Result<(), String> {
    let mut message = Some(request.clone());
    for name in names {
        // Behind a list, a map or a number there is nothing that could be checked.
        let Some(of) = &message else { return Ok(()) };
        let Some(field) = of.get_field_by_name(name) else {
            let there_are: Vec<_> = of.fields().map(|field| field.name().to_owned()).collect();
            let there_are = there_are.join(", ");
            return Err(format!("{} has no field '{name}'; it has: {there_are}", of.full_name()));
        };
        message = match field.kind() {
            Kind::Message(inner) if !field.is_list() && !field.is_map() => Some(inner),
            _ => None,
        };
    }
    Ok(())
}

impl Context {
    /// Of this request; its random number is made from these bits.
    pub(super) fn new(request: &DynamicMessage, random: u64) -> Self {
        let request = Variable::from(Serde(Fields(request)));
        let fraction = (random >> 11) as f64 / (1_u64 << 53) as f64;
        Self(context! { request, random => fraction })
    }
}

/// A message as a template sees it: all fields under the names of the `.proto` file, numbers as numbers.
struct Fields<'a>(&'a DynamicMessage);

impl Serialize for Fields<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let options = SerializeOptions::new()
            .skip_default_fields(false)
            .use_proto_field_name(true)
            .stringify_64_bit_integers(false);
        self.0.serialize_with_options(serializer, &options)
    }
}

/// A template of JSON that is being written.
#[derive(Default)]
struct Source {
    /// Texts that are put together first.
    set: String,
    json: String,
    texts: usize,
}

impl Source {
    fn text(&mut self, text: &str) {
        let begins = |text: &str| ["{{", "{%", "{#"].iter().any(|mark| text.contains(mark));
        if !begins(text) {
            self.json += &Value::from(text).to_string();
            return;
        }
        let inner = text.trim().strip_prefix("{{").and_then(|text| text.strip_suffix("}}"));
        match inner.filter(|inner| !begins(inner) && !inner.contains("}}")) {
            Some(expression) => {
                let _ = write!(self.json, "{{{{ ({expression})|tojson }}}}");
            }
            None => {
                let number = self.texts;
                self.texts += 1;
                let _ = write!(self.set, "{{% set text_{number} %}}{text}{{% endset %}}");
                let _ = write!(self.json, "{{{{ text_{number}|tojson }}}}");
            }
        }
    }
}

/// The most characters of JSON: bytes take four thirds of their length, and a list of small numbers
/// several times.
const MAX_TEXT: usize = 4 * MAX_ANSWER;

/// A text that is not written beyond [`MAX_TEXT`].
#[derive(Default)]
struct Limited {
    bytes: Vec<u8>,
    is_full: bool,
}

impl io::Write for Limited {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.bytes.len() + bytes.len() > MAX_TEXT {
            self.is_full = true;
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
