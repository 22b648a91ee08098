use std::{
    sync::{
        OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use hyperfake_predictor::{Backends, Error, Loaded, Result};

use super::Source;

/// Opens model files, on as many threads as there are cores, and returns what each of them holds.
#[must_use]
pub fn load(sources: &[Source], backends: &Backends) -> Vec<Result<Loaded>> {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let next = AtomicUsize::new(0);
    let loaded: Vec<_> = sources.iter().map(|_| OnceLock::new()).collect();
    let open = || {
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let (Some(source), Some(slot)) = (sources.get(index), loaded.get(index)) else {
                return;
            };
            let _ = slot.set(backends.open(&source.uri));
        }
    };
    thread::scope(|scope| {
        for _ in 1..cores.min(sources.len()) {
            scope.spawn(open);
        }
        open();
    });
    let not_opened = || Err(Error::internal("a thread that opens models ended early"));
    loaded.into_iter().map(|slot| slot.into_inner().unwrap_or_else(not_opened)).collect()
}
