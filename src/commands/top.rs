//! `hyperfake top`: shows in the terminal what a server's page shows in a browser.

mod answers;
mod events;
mod feed;
mod model;
mod numbers;
mod once;
mod page;
mod screen;
mod ui;
mod view;

use std::io::{IsTerminal, stdout};

use hyperfake_predictor::{Error, Result};
use ratatui::crossterm::event::Event;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::mpsc::{Receiver, channel},
};

use self::{feed::Update, model::Model, page::Page, screen::Screen, ui::Ui};
use super::{Output, target};
use crate::{args::TopArgs, clock::precise, tls::ClientTls};

/// Updates that wait to be shown, at most; a page that sends faster waits.
const WAITING: usize = 16;

/// Shows what happens until the person leaves, or what is the case now.
///
/// # Errors
///
/// When there is no page of a server, or the terminal cannot be used.
pub async fn run(args: TopArgs) -> Result<Output> {
    let address = page::address(&args.http)?;
    let tls = match address.scheme() {
        "https" => ClientTls::load(&target::files(&args.tls))?,
        _ => ClientTls::none()?,
    };
    let page = Page::new(address, args.http_token.as_deref(), &tls)?;
    let mut ui = Ui::new(Model::new(page.address().to_string()));
    let (to, mut updates) = channel(WAITING);
    let feed = tokio::spawn(feed::follow(page, precise::start(), to));
    // Until something is known, an error is the end.
    while !ui.model().has_names {
        match updates.recv().await {
            Some(Update::Lost(reason)) => return Err(no_page(reason)),
            Some(update) => ui.update(update),
            None => return Err(Error::internal("the page was not followed")),
        }
    }
    let shown = match args.once || !stdout().is_terminal() {
        true => Ok(once::text(&ui)),
        false => watch(&mut ui, &mut updates).await.map(|()| String::new()),
    };
    feed.abort();
    shown.map(Output::success)
}

fn no_page(reason: String) -> Error {
    let advice = "the output of 'hyperfake server' says where its page is";
    Error::unavailable(format!("{reason}; {advice}")).at("--http")
}

/// Draws whatever comes, until the person or a signal says to end.
async fn watch(ui: &mut Ui, updates: &mut Receiver<Update>) -> Result<()> {
    let watched = |kind| {
        signal(kind).map_err(|error| Error::internal("cannot watch signals").with_source(error))
    };
    let mut interrupt = watched(SignalKind::interrupt())?;
    let mut terminate = watched(SignalKind::terminate())?;
    let mut hangup = watched(SignalKind::hangup())?;
    let mut screen = Screen::open()?;
    loop {
        screen.draw(ui)?;
        tokio::select! {
            update = updates.recv() => match update {
                Some(update) => ui.update(update),
                None => return Err(Error::internal("the page was not followed to the end")),
            },
            event = screen.event() => match event {
                Event::Key(key) if ui.press(key) => return Ok(()),
                _ => {}
            },
            _ = interrupt.recv() => return Ok(()),
            _ = terminate.recv() => return Ok(()),
            _ = hangup.recv() => return Ok(()),
        }
    }
}
