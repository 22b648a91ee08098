//! The terminal while it is ours.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use hyperfake_predictor::{Error, Result};
use ratatui::{
    DefaultTerminal,
    crossterm::event::{self, Event},
};
use tokio::sync::mpsc::{Receiver, Sender, channel};

use super::{ui::Ui, view};

/// The terminal, which is given back as it was when this is dropped, and also when the program panics.
#[derive(Debug)]
pub(super) struct Screen {
    terminal: DefaultTerminal,
    events: Receiver<Event>,
    ends: Arc<AtomicBool>,
}

/// How soon the thread that reads keys ends after the screen.
const LOOK: Duration = Duration::from_millis(200);
/// Keys that wait to be obeyed, at most; those of a person are never as many.
const WAITING: usize = 64;

impl Screen {
    /// Takes the terminal.
    ///
    /// # Errors
    ///
    /// When the terminal refuses it, or the system has no thread.
    pub(super) fn open() -> Result<Self> {
        let refused = |error: io::Error| {
            Error::unavailable("the terminal cannot be used; --once shows text").with_source(error)
        };
        let (to, events) = channel(WAITING);
        let ends = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&ends);
        // First: a failure leaves the terminal as it was.
        let keys = thread::Builder::new().name("keys".into());
        // The hook for panics that this sets calls the one that was there before.
        let terminal = ratatui::try_init().map_err(|error| {
            ratatui::restore();
            refused(error)
        })?;
        let screen = Self { terminal, events, ends };
        keys.spawn(move || read(&to, &ended)).map_err(refused)?;
        Ok(screen)
    }

    pub(super) fn draw(&mut self, ui: &Ui) -> Result<()> {
        let drawn = self.terminal.draw(|frame| view::draw(frame, ui));
        let failed = |error| Error::unavailable("cannot write to the terminal").with_source(error);
        drawn.map(|_| ()).map_err(failed)
    }

    /// Waits for a key or a new size; for ever when the terminal gives none.
    pub(super) async fn event(&mut self) -> Event {
        match self.events.recv().await {
            Some(event) => event,
            None => std::future::pending().await,
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
        ratatui::restore();
    }
}

/// Hands over what the terminal says, until the screen ends or the terminal is gone.
fn read(to: &Sender<Event>, ended: &AtomicBool) {
    while !ended.load(Ordering::Relaxed) {
        match event::poll(LOOK) {
            Ok(false) => {}
            Ok(true) => match event::read() {
                // One too many is forgotten.
                Ok(event) => drop(to.try_send(event)),
                Err(_) => return,
            },
            Err(_) => return,
        }
    }
}
