use ratatui::{
    Terminal,
    backend::TestBackend,
    crossterm::event::{KeyCode, KeyEvent},
};

use super::*;
use crate::commands::top::{
    feed::Update,
    model::tests::{functions, model, second, state},
};

/// What is on a terminal of this size.
fn screen(ui: &Ui, width: u16, height: u16) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(frame, ui)).unwrap();
    terminal.backend().to_string()
}

fn ui() -> Ui {
    Ui::new(model([state(), functions(), second(1, &[(1, 103.0)])]))
}

#[test]
fn everything_is_on_a_large_terminal() {
    let shown = screen(&ui(), 160, 40);
    for expected in [
        "●  http://localhost:8990/  1 min 0 s up  scenario chaos  2 workers  version 0.1.0",
        "103 ",
        "2.9 % of calls",
        "3 of them queued",
        "p90 20 ms",
        "max 700 ms",
        "6, 1 new",
        "2 idle 3 busy",
        "1.25 of 4 cores",
        "8 MB of 1 GB",
        "calls/s, at most 103",
        "3 failed/s at most",
        "p99, at most 500 ms",
        "functions: 2",
        "f-one",
        "7.100 ms",
        "25 %",
        "14c4c7bbb18d f-two            ▒▒·▄██",
        "127.0.0.1:2",
        "q quit",
    ] {
        assert!(shown.contains(expected), "{expected} is not in\n{shown}");
    }
}

#[test]
fn a_terminal_of_any_size_shows_what_fits() {
    let mut ui = ui();
    for (width, height) in [(1, 1), (39, 12), (40, 11), (40, 12), (80, 24), (300, 100), (1000, 12)]
    {
        let shown = screen(&ui, width, height);
        let is_large = width >= LEAST.0 && height >= LEAST.1;
        assert_eq!(shown.contains("calls/s"), is_large, "{width}x{height}\n{shown}");
    }
    assert!(screen(&ui, 39, 12).contains("found 39x12, expected 40x12"), "{}", screen(&ui, 39, 12));
    // Before anything has come, and with lists that have become shorter than what was scrolled.
    screen(&Ui::new(Model::new(String::new())), 80, 24);
    ui.above = [1000, 1000, 1000];
    let shown = screen(&ui, 160, 40);
    for expected in ["functions: 2 to 2 of 2", "14c4c7bbb18d f-two", "2 to 2 of 2"] {
        assert!(shown.contains(expected), "{expected} is not in\n{shown}");
    }
}

#[test]
fn a_narrow_terminal_leaves_columns_out_but_not_that_of_the_order() {
    let titles = |ui: &Ui, width| {
        let shown = screen(ui, width, 24);
        let line = shown.lines().find(|line| line.contains("│function")).unwrap().to_owned();
        line.split([' ', '│', '"', '▼'])
            .filter(|word| !word.is_empty())
            .collect::<Vec<_>>()
            .join(" ")
    };
    let mut ui = ui();
    let all = "function image calls/s failed/s inst. p50 p90 p99 cold predicted ran";
    assert_eq!(titles(&ui, 160), all);
    assert_eq!(titles(&ui, 80), "function image calls/s failed/s inst. p50 p99 cold");
    assert_eq!(titles(&ui, 40), "function calls/s p99");
    (0..3).for_each(|_| _ = ui.press(KeyEvent::from(KeyCode::Left)));
    assert_eq!(titles(&ui, 40), "function calls/s ran");
}

#[test]
fn a_pause_a_lost_worker_and_the_order_are_said() {
    let mut ui = ui();
    ui.press(KeyEvent::from(KeyCode::Char('r')));
    assert!(screen(&ui, 160, 40).contains("calls/s▲"));
    ui.update(Update::Lost("http://localhost:8990/ does not answer".into()));
    let shown = screen(&ui, 160, 40);
    assert!(shown.contains("✗ trying again  http://localhost:8990/ does not answer"), "{shown}");
    // What was last known stays.
    assert!(shown.contains("2.9 % of calls"), "{shown}");
    ui.press(KeyEvent::from(KeyCode::Char('p')));
    assert!(screen(&ui, 160, 40).contains("‖ paused"));
}

#[test]
fn names_of_the_worker_steer_nothing_and_are_cut() {
    let hostile = format!("\u{1b}]0;x\u{7}\u{202e}{}", "東".repeat(300));
    let functions = serde_json::json!({"functions": [{}, {"id": hostile, "image": hostile}]});
    let functions = Update::Functions(serde_json::from_value(functions).unwrap());
    let ui = Ui::new(model([state(), functions, second(1, &[(1, 103.0)])]));
    let shown = screen(&ui, 120, 40);
    assert!(!shown.contains(['\u{1b}', '\u{7}', '\u{202e}']), "{shown}");
    assert!(shown.contains("\\u{1b}]0;x"), "{shown}");
    assert!(shown.contains("103"), "{shown}");
}

#[test]
fn the_list_that_was_chosen_has_the_most_room() {
    let mut ui = ui();
    let rows = (1..=64).map(|n| serde_json::json!([format!("i{n}"), 0, 1, 0, "B"]));
    let snapshot = serde_json::json!({
        "run": "aa", "n": 2, "strip": rows.collect::<Vec<_>>(), "workers": {},
    });
    ui.update(Update::Snapshot(serde_json::from_value(snapshot).unwrap()));
    let shown = |ui: &Ui| {
        let screen = screen(ui, 120, 50);
        screen.lines().filter(|line| line.starts_with("\"│i")).count()
    };
    let before = shown(&ui);
    ui.press(KeyEvent::from(KeyCode::Tab));
    assert!(shown(&ui) > before + 3, "{before}");
    ui.press(KeyEvent::from(KeyCode::End));
    assert_eq!(shown(&ui), 1);
    assert!(screen(&ui, 120, 50).contains("instances: 64 to 64 of 64"));
}
