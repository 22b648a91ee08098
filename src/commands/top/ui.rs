//! What a person chose by keys.

use std::cmp::Ordering;

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use strum::{EnumCount, EnumIter, IntoEnumIterator};

use super::{
    feed::Update,
    model::{FunctionLine, Model},
};

/// What is known, and what of it is shown how.
#[derive(Debug)]
pub(super) struct Ui {
    live: Model,
    /// What was known when the person paused.
    frozen: Option<Box<Model>>,
    pub(super) focus: Pane,
    pub(super) sort: Column,
    pub(super) is_reversed: bool,
    /// For each pane, how many lines are above the first one that is shown.
    pub(super) above: [usize; Pane::COUNT],
}

/// A list that can be scrolled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumCount, EnumIter)]
pub(super) enum Pane {
    Functions,
    Instances,
    Workers,
}

/// A column of the functions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumCount, EnumIter)]
pub(super) enum Column {
    Function,
    Image,
    Rate,
    Failed,
    Instances,
    P50,
    P90,
    P99,
    Cold,
    Predicted,
    Ran,
}

/// The lines of a page, for the keys that scroll by one.
const PAGE: usize = 10;

impl Ui {
    pub(super) fn new(model: Model) -> Self {
        Self {
            live: model,
            frozen: None,
            focus: Pane::Functions,
            sort: Column::Rate,
            is_reversed: false,
            above: [0; Pane::COUNT],
        }
    }

    pub(super) fn update(&mut self, update: Update) {
        self.live.update(update);
    }

    /// What is shown.
    pub(super) fn model(&self) -> &Model {
        self.frozen.as_deref().unwrap_or(&self.live)
    }

    pub(super) fn is_paused(&self) -> bool {
        self.frozen.is_some()
    }

    /// Obeys a key, and returns whether the person wants to leave.
    pub(super) fn press(&mut self, key: KeyEvent) -> bool {
        if key.kind == KeyEventKind::Release {
            return false;
        }
        let is_control = key.modifiers.contains(KeyModifiers::CONTROL);
        match key.code {
            KeyCode::Char('c') => return is_control,
            KeyCode::Char('q') | KeyCode::Esc => return true,
            KeyCode::Char('p' | ' ') => {
                self.frozen = match self.frozen {
                    Some(_) => None,
                    None => Some(Box::new(self.live.clone())),
                };
            }
            KeyCode::Char('s') | KeyCode::Right => self.sort = neighbour(self.sort, 1),
            KeyCode::Left => self.sort = neighbour(self.sort, Column::COUNT - 1),
            KeyCode::Char('r') => self.is_reversed = !self.is_reversed,
            KeyCode::Tab => self.turn(1),
            KeyCode::BackTab => self.turn(Pane::COUNT - 1),
            KeyCode::Up => self.scroll(|above| above.saturating_sub(1)),
            KeyCode::Down => self.scroll(|above| above.saturating_add(1)),
            KeyCode::PageUp => self.scroll(|above| above.saturating_sub(PAGE)),
            KeyCode::PageDown => self.scroll(|above| above.saturating_add(PAGE)),
            KeyCode::Home => self.scroll(|_| 0),
            KeyCode::End => self.scroll(|_| usize::MAX),
            _ => {}
        }
        false
    }

    /// The functions in the order that was chosen.
    pub(super) fn functions(&self) -> Vec<&FunctionLine> {
        let mut lines: Vec<_> = self.model().functions.iter().collect();
        lines.sort_by(|a, b| {
            let order = self.sort.compare(a, b);
            let order = if self.is_reversed { order.reverse() } else { order };
            order.then(a.row.place.cmp(&b.row.place))
        });
        lines
    }

    /// The panes that are shown: that of workers only for several of them.
    pub(super) fn panes(&self) -> impl Iterator<Item = Pane> + use<> {
        let is_fleet = self.model().workers.len() > 1;
        Pane::iter().filter(move |pane| *pane != Pane::Workers || is_fleet)
    }

    fn turn(&mut self, by: usize) {
        self.focus = neighbour(self.focus, by);
        if !self.panes().any(|pane| pane == self.focus) {
            self.focus = neighbour(self.focus, by);
        }
    }

    fn scroll(&mut self, to: impl Fn(usize) -> usize) {
        let lines = match self.focus {
            Pane::Functions => self.model().functions.len(),
            Pane::Instances => self.model().strip.len(),
            Pane::Workers => self.model().workers.len(),
        };
        let above = &mut self.above[self.focus as usize];
        // The list may have become shorter.
        *above = to((*above).min(lines.saturating_sub(1))).min(lines.saturating_sub(1));
    }
}

impl Column {
    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Function => "function",
            Self::Image => "image",
            Self::Rate => "calls/s",
            Self::Failed => "failed/s",
            Self::Instances => "inst.",
            Self::P50 => "p50",
            Self::P90 => "p90",
            Self::P99 => "p99",
            Self::Cold => "cold",
            Self::Predicted => "predicted",
            Self::Ran => "ran",
        }
    }

    /// Texts in their order, and of numbers the largest first.
    fn compare(self, a: &FunctionLine, b: &FunctionLine) -> Ordering {
        // What is not known is last.
        let number = |value: fn(&FunctionLine) -> Option<f64>| {
            let [a, b] = [a, b].map(|line| value(line).unwrap_or(f64::NEG_INFINITY));
            b.total_cmp(&a)
        };
        match self {
            Self::Function => a.id.cmp(&b.id),
            Self::Image => a.image.cmp(&b.image),
            Self::Rate => number(|line| Some(line.row.rate)),
            Self::Failed => number(|line| Some(line.row.failed)),
            Self::Instances => number(|line| Some(line.instances)),
            Self::P50 => number(|line| line.row.p50_s),
            Self::P90 => number(|line| line.row.p90_s),
            Self::P99 => number(|line| line.row.p99_s),
            Self::Cold => number(|line| line.row.cold),
            Self::Predicted => number(|line| line.row.predicted_s),
            Self::Ran => number(|line| line.row.ran_s),
        }
    }
}

/// The one that is so many places further on; the first one follows the last.
fn neighbour<T: IntoEnumIterator + EnumCount + PartialEq + Copy>(of: T, by: usize) -> T {
    let place = T::iter().position(|one| one == of).unwrap_or_default();
    T::iter().nth((place + by) % T::COUNT).unwrap_or(of)
}

#[cfg(test)]
mod tests {
    use super::{
        super::model::tests::{functions, model, second, state},
        *,
    };

    fn ui() -> Ui {
        Ui::new(model([state(), functions(), second(1, &[(1, 5.0), (2, 7.0)])]))
    }

    fn press(ui: &mut Ui, codes: &[KeyCode]) -> bool {
        codes.iter().any(|code| ui.press(KeyEvent::from(*code)))
    }

    fn order(ui: &Ui) -> Vec<&str> {
        ui.functions().iter().map(|line| &*line.id).collect()
    }

    #[test]
    fn functions_are_sorted_by_the_column_that_was_chosen() {
        let mut ui = ui();
        assert_eq!((ui.sort, order(&ui)), (Column::Rate, vec!["f-two", "f-one"]));
        press(&mut ui, &[KeyCode::Char('r')]);
        assert_eq!(order(&ui), ["f-one", "f-two"]);
        press(&mut ui, &[KeyCode::Char('r'), KeyCode::Left, KeyCode::Left]);
        assert_eq!((ui.sort, order(&ui)), (Column::Function, vec!["f-one", "f-two"]));
        press(&mut ui, &[KeyCode::Left]);
        assert_eq!(ui.sort, Column::Ran);
        press(&mut ui, &[KeyCode::Char('s')]);
        assert_eq!(ui.sort, Column::Function);
        press(&mut ui, &[KeyCode::Char('s'); 4]);
        assert_eq!((ui.sort, order(&ui)), (Column::Instances, vec!["f-two", "f-one"]));
    }

    #[test]
    fn a_pause_holds_what_is_shown_until_it_ends() {
        let mut ui = ui();
        press(&mut ui, &[KeyCode::Char('p')]);
        ui.update(second(2, &[(1, 99.0)]));
        assert_eq!((ui.is_paused(), ui.model().functions[0].row.rate), (true, 5.0));
        press(&mut ui, &[KeyCode::Char('p')]);
        assert_eq!((ui.is_paused(), ui.model().functions[0].row.rate), (false, 99.0));
        assert_eq!(ui.model().history.len(), 4);
    }

    #[test]
    fn the_arrows_scroll_the_list_that_was_chosen_and_no_further_than_it_is_long() {
        let mut ui = ui();
        press(&mut ui, &[KeyCode::Down, KeyCode::Down, KeyCode::Down]);
        assert_eq!(ui.above, [1, 0, 0]);
        press(&mut ui, &[KeyCode::Up, KeyCode::Up]);
        assert_eq!(ui.above, [0, 0, 0]);
        press(&mut ui, &[KeyCode::BackTab, KeyCode::End]);
        assert_eq!((ui.focus, ui.above), (Pane::Workers, [0, 0, 1]));
        press(&mut ui, &[KeyCode::Tab, KeyCode::Tab, KeyCode::PageDown]);
        assert_eq!((ui.focus, ui.above), (Pane::Instances, [0, 0, 1]));
        // One worker is no list.
        let alone = r#"{"run": "bb", "workers": {"names": ["a:1"]}}"#;
        ui.update(Update::State(Box::new(serde_json::from_str(alone).unwrap())));
        ui.update(second(1, &[]));
        press(&mut ui, &[KeyCode::Tab]);
        assert_eq!(ui.focus, Pane::Functions);
    }

    #[test]
    fn q_escape_and_control_c_leave() {
        for code in [KeyCode::Char('q'), KeyCode::Esc] {
            assert!(press(&mut ui(), &[code]));
        }
        assert!(!press(&mut ui(), &[KeyCode::Char('c'), KeyCode::Char('x'), KeyCode::F(1)]));
        assert!(ui().press(KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL)));
    }
}
