use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    DistributionSection, Folder, Mistake,
    compile::{number, pattern},
    distribution::distribution,
    reader::Located,
    spelled::Word,
    values::Span,
};
use crate::scenario::{
    End, Fault, Kill, StatusCode,
    fault::{Effect, StartFault, When, Whom},
};

/// Something that goes wrong: a name, one of delay, status, error, kill, start, drop and header, whom it
/// concerns, and when.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct FaultSection {
    /// Its name, which no other fault has.
    name: Located<String>,
    /// Whether it can happen before it is switched on; true without this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    enabled: Option<bool>,

    /// A call takes so much longer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    delay: Option<Located<DistributionSection>>,
    /// A call fails with this gRPC code, a name or a number, after its run time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    status: Option<Word<StatusCode>>,
    /// A call is answered with this error of the function's own code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    /// What becomes of a call and its instance: crash and oom end the instance with all its calls, and a
    /// call that hangs does not end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    kill: Option<KillWord>,
    /// The start of an instance fails or takes longer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    start: Option<Located<StartSection>>,
    /// The connection of the call's client is closed without an answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    drop: Option<DropWord>,
    /// The request header whose value asks for a fault, such as status=14 or delay=200ms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    header: Option<Located<String>>,

    /// Patterns of the functions that it concerns; all without this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    functions: Option<Vec<Located<String>>>,
    /// The instances that it concerns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    instances: Option<InstancesSection>,
    /// Numbers of the workers of a fleet that it concerns, from 0; all without this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    workers: Option<Vec<u32>>,

    /// How many of 100 calls or starts it happens to; all without this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100))]
    percent: Option<Located<f64>>,
    /// From when on, since the worker's begin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    from: Option<Word<Span>>,
    /// Until when, since the worker's begin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    to: Option<Located<Word<Span>>>,
    /// The time after which from and to begin anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    every: Option<Located<Word<Span>>>,
    /// How many times in all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    at_most: Option<u64>,
}

/// What ends.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum KillWord {
    /// The instance, as after a crash.
    Crash,
    /// The instance, as when it needs more memory than it may.
    Oom,
    /// Nothing: the call does not end on its own.
    Hang,
}

/// What is dropped.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum DropWord {
    /// The connection of the call's client.
    Connection,
}

/// How the start of an instance goes wrong, by one of the two.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct StartSection {
    /// With this code.
    #[serde(skip_serializing_if = "Option::is_none")]
    fail: Option<Word<StatusCode>>,
    /// It takes so much longer.
    #[serde(skip_serializing_if = "Option::is_none")]
    slow: Option<Located<DistributionSection>>,
}

/// Instances that a fault concerns.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct InstancesSection {
    /// Of each function on each worker, every instance whose number is a multiple of this.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    every_nth: Option<Located<u64>>,
    /// Those that have been ready for longer than this.
    #[serde(skip_serializing_if = "Option::is_none")]
    older_than: Option<Word<Span>>,
}

/// The longest name of a fault or a header.
const LONGEST_NAME: usize = 100;

impl Located<FaultSection> {
    pub(super) fn name(&self) -> &Located<String> {
        &self.value.name
    }

    pub(super) fn header(&self) -> Option<&Located<String>> {
        self.value.header.as_ref()
    }

    /// The fault, ready for use.
    pub(super) fn fault(&self, folder: &Folder<'_>) -> Result<Fault, Mistake> {
        let Located { value: section, .. } = self;
        let name = &section.name;
        if name.value.is_empty() || name.value.len() > LONGEST_NAME {
            let message = format!("expected a name of 1 to {LONGEST_NAME} bytes");
            return Err(Mistake::new(message).at(name.at));
        }
        let effect = self.effect(folder)?;
        let when = section.when()?;
        Ok(Fault::new(&name.value, effect, section.whom()?, when, section.enabled.unwrap_or(true)))
    }

    fn effect(&self, folder: &Folder<'_>) -> Result<Effect, Mistake> {
        let section = &self.value;
        let kill = section.kill.map(|kill| match kill {
            KillWord::Crash => End::Kill(Kill::Crash),
            KillWord::Oom => End::Kill(Kill::OutOfMemory),
            KillWord::Hang => End::Hang,
        });
        let ends = [
            section.status.map(|code| End::Status(code.0)),
            section.error.as_deref().map(|text| End::Error(text.into())),
            kill,
            section.drop.map(|DropWord::Connection| End::DropConnection),
        ];
        let delay = section.delay.as_ref().map(|delay| distribution(delay, folder)).transpose()?;
        let start = section.start.as_ref().map(|start| start.effect(folder)).transpose()?;
        let header = section.header.as_ref().map(header).transpose()?;
        let ends = ends.into_iter().flatten().map(Effect::End);
        let others =
            [delay.map(Effect::Delay), start.map(Effect::Start), header.map(Effect::Header)];
        let mut stated: Vec<_> = ends.chain(others.into_iter().flatten()).collect();
        match (stated.pop(), stated.len()) {
            (Some(effect), 0) => Ok(effect),
            (_, more) => {
                let found = if more == 0 { "none" } else { "several" };
                let message = format!(
                    "the fault '{}': found {found} of delay, status, error, kill, start, drop and \
                     header, expected one",
                    section.name.value.escape_debug()
                );
                Err(Mistake::new(message).at(self.at))
            }
        }
    }
}

impl FaultSection {
    pub(super) fn distributions(
        &mut self,
    ) -> impl Iterator<Item = &mut Located<DistributionSection>> {
        let slow = self.start.as_mut().and_then(|start| start.value.slow.as_mut());
        self.delay.as_mut().into_iter().chain(slow)
    }

    fn whom(&self) -> Result<Whom, Mistake> {
        let instances = self.instances.clone().unwrap_or_default();
        if let Some(Located { at, value: 0 }) = instances.every_nth {
            return Err(Mistake::new("found 0, expected a whole number from 1").at(at));
        }
        Ok(Whom {
            functions: self.functions.iter().flatten().map(pattern).collect::<Result<_, _>>()?,
            workers: self.workers.iter().flatten().map(|index| *index as usize).collect(),
            every_nth: instances.every_nth.map(|n| n.value),
            older_than: instances.older_than.map(|age| age.0.0),
        })
    }

    fn when(&self) -> Result<When, Mistake> {
        let from = self.from.map(|from| from.0.0).unwrap_or_default();
        let to = self.to.map(|to| to.value.0.0);
        if let Some(to) = &self.to
            && to.value.0.0 <= from
        {
            let message =
                format!("found {}, expected more than 'from', {}", to.value.0, Span(from));
            return Err(Mistake::new(message).at(to.at));
        }
        if let Some(every) = &self.every
            && every.value.0.0 < to.unwrap_or(from).max(std::time::Duration::from_nanos(1))
        {
            let message = format!(
                "found {}, expected a time of at least 'to', after which it begins anew",
                every.value.0
            );
            return Err(Mistake::new(message).at(every.at));
        }
        let percent = self.percent.map(|percent| number(percent, 0.0, 100.0)).transpose()?;
        let every = self.every.map(|every| every.value.0.0);
        let percent = percent.unwrap_or(100.0);
        Ok(When { percent, from, to, every, at_most: self.at_most })
    }
}

impl Located<StartSection> {
    fn effect(&self, folder: &Folder<'_>) -> Result<StartFault, Mistake> {
        match &self.value {
            StartSection { fail: Some(code), slow: None } => Ok(StartFault::Fail(code.0)),
            StartSection { fail: None, slow: Some(slow) } => {
                distribution(slow, folder).map(StartFault::Slow)
            }
            _ => Err(Mistake::new("expected one of 'fail' and 'slow'").at(self.at)),
        }
    }
}

/// The name of a header, in lower case.
fn header(name: &Located<String>) -> Result<std::sync::Arc<str>, Mistake> {
    let is_name = |text: &str| {
        let known = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        (1..=LONGEST_NAME).contains(&text.len()) && text.bytes().all(known)
    };
    if !is_name(&name.value) || name.value.starts_with("grpc-") || name.value.ends_with("-bin") {
        let message = "expected the name of a request header of letters, digits, '-', '_' and '.', \
                       such as x-hyperfake-fault, that neither begins with grpc- nor ends with -bin";
        return Err(Mistake::new(message).at(name.at));
    }
    Ok(name.value.to_ascii_lowercase().into())
}
