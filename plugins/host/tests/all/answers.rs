//! How many instances there are and which session uses which, seen with a predictor that is part of
//! this program.

use std::sync::atomic::{AtomicU64, Ordering};

use hyperfake_plugin_host::LinkedPlugin;
use hyperfake_plugin_sdk::{self as sdk, Exported, Prediction, export_predictor};
use hyperfake_predictor::{Backend, Features, ModelUri, RawPrediction};

/// Answers with its own number.
struct Numbered(f64);

static MADE: AtomicU64 = AtomicU64::new(0);
static DESTROYED: AtomicU64 = AtomicU64::new(0);

impl sdk::Predictor for Numbered {
    const RANDOM: bool = true;

    fn create(_: &str) -> sdk::Result<Self> {
        Ok(Self(MADE.fetch_add(1, Ordering::SeqCst) as f64))
    }

    fn predict(&self, features: &sdk::Features) -> sdk::Result<Prediction> {
        let made = self.0;
        Ok(Prediction { runtime_ns: made, cpu_cores: features.active_calls, ram_bytes: 0.0 })
    }
}

impl Drop for Numbered {
    fn drop(&mut self) {
        DESTROYED.fetch_add(1, Ordering::SeqCst);
    }
}

export_predictor!(Numbered);

fn backend(flags: u64) -> LinkedPlugin {
    let mut descriptor = sdk::descriptor::<Numbered>("numbered\0", "1\0", flags);
    descriptor.flags = flags;
    // SAFETY: the SDK made the descriptor, and `Numbered` is `Sync` for any flag. It is not needed
    // once it was read.
    unsafe { LinkedPlugin::new(&raw const descriptor) }.unwrap()
}

fn number(session: &mut dyn hyperfake_predictor::Session) -> u64 {
    session.predict(&Features::IDLE).unwrap().runtime_ns as u64
}

/// One test, because all count the same instances.
#[test]
fn each_session_has_an_instance_of_its_own_unless_the_plugin_is_re_entrant() {
    let uri = ModelUri::from_path("linked");
    let model = backend(0).open(&uri).unwrap();
    assert!(model.info().deterministic);
    let mut sessions = [0, 1, 2].map(|_| model.session().unwrap());
    // The first took the one that was made when the model was opened.
    assert_eq!(MADE.load(Ordering::SeqCst), 3);
    let numbers: Vec<_> = sessions.iter_mut().map(|session| number(session.as_mut())).collect();
    assert_eq!(numbers, [0, 1, 2]);
    drop(model);
    assert_eq!(DESTROYED.load(Ordering::SeqCst), 0);
    drop(sessions);
    assert_eq!(DESTROYED.load(Ordering::SeqCst), 3);

    let model = backend(sdk::RE_ENTRANT).open(&uri).unwrap();
    let sessions = [0, 1, 2].map(|_| model.session().unwrap());
    drop(model);
    std::thread::scope(|scope| {
        for mut session in sessions {
            scope.spawn(move || assert_eq!(number(session.as_mut()), 3));
        }
    });
    assert_eq!((MADE.load(Ordering::SeqCst), DESTROYED.load(Ordering::SeqCst)), (4, 4));

    // SAFETY: an implementation of `Exported` guarantees it.
    let model = unsafe { LinkedPlugin::new(Numbered::descriptor()) }.unwrap().open(&uri).unwrap();
    assert!(!model.info().deterministic);
    let mut session = model.session().unwrap();
    for size in [2, 0, 5] {
        let calls: Vec<_> =
            (0..size).map(|n| Features { active_calls: f64::from(n), ..Features::IDLE }).collect();
        let mut out = vec![RawPrediction::default(); calls.len()];
        session.predict_batch(&calls, &mut out).unwrap();
        for (call, answer) in calls.iter().zip(out) {
            assert_eq!((answer.runtime_ns, answer.cpu_cores), (4.0, call.active_calls));
        }
    }
}
