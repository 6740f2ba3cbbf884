//! The table of what was seen, in a Markdown file between two marks: what came of it, and the client's own words.

use std::collections::BTreeMap;
use std::{fmt, fs};

use libtest_mimic::Failed;

use crate::clients::CLIENTS;
use crate::faults::FAULTS;

pub(crate) const PATH: &str = "adapters/mock/README.md";
const START: &str = "<!-- The tables are written by `SMTPD_WRITE_TABLE=1 cargo test --test faults`. -->\n";
const END: &str = "<!-- The tables end. -->\n";

/// A fault's name and a client's.
type Place = (&'static str, &'static str);

#[derive(Default)]
pub(crate) struct Table {
    versions: BTreeMap<&'static str, String>,
    cells: BTreeMap<Place, Cell>,
}

/// What came of it when a client met a fault.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Cell {
    pub(crate) verdict: String,
    /// It was sent and the client says that it was not, or the other way round.
    pub(crate) is_untrue: bool,
    pub(crate) connections: usize,
    pub(crate) words: String,
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.outcome(), self.words)
    }
}

impl Cell {
    /// As it stands in the first table.
    fn outcome(&self) -> String {
        let bold = if self.is_untrue { "**" } else { "" };
        let connections = match self.connections {
            1 => String::new(),
            connections => format!(", {connections} connections"),
        };
        format!("{bold}{}{bold}{connections}", self.verdict)
    }

    fn parse(outcome: &str, words: &str) -> Self {
        let (verdict, connections) = outcome.split_once(", ").unwrap_or((outcome, "1"));
        let connections = connections.split(' ').next().and_then(|number| number.parse().ok());
        Self {
            verdict: verdict.trim_matches('*').into(),
            is_untrue: verdict.starts_with("**"),
            connections: connections.unwrap_or(0),
            words: words.trim_matches('`').into(),
        }
    }
}

/// The table is read as it was written: no row or column is missing or stands there in vain.
pub(crate) fn is_as_it_is_written() -> Result<(), Failed> {
    let text = fs::read_to_string(PATH)?;
    let (written, rendered) = (between(&text).ok_or("no marks")?.1, Table::read().to_string());
    match written.lines().zip(rendered.lines()).find(|(written, rendered)| written != rendered) {
        Some((written, rendered)) => Err(format!("written:  {written}\nexpected: {rendered}").into()),
        None if written != rendered => Err("lines are missing, or too many".into()),
        None => Ok(()),
    }
}

/// What stands before the tables, they, and what stands behind.
fn between(text: &str) -> Option<(&str, &str, &str)> {
    let (before, rest) = text.split_once(START)?;
    let (tables, behind) = rest.split_once(END)?;
    Some((before, tables, behind))
}

impl Table {
    /// An empty one where there is none.
    pub(crate) fn read() -> Self {
        let text = fs::read_to_string(PATH).unwrap_or_default();
        let rows = |table: &str| -> Vec<Vec<String>> {
            let lines = table.lines().filter(|line| line.starts_with('|'));
            lines.map(|line| line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()).collect()
        };
        let mut table = Self::default();
        let Some((outcomes, words)) = between(&text).and_then(|(_, tables, _)| tables.split_once("\n\n")) else {
            return table;
        };
        let (outcomes, words) = (rows(outcomes), rows(words));
        for (column, client) in CLIENTS.iter().enumerate() {
            let cell = |rows: &[Vec<String>], row: usize| rows.get(row)?.get(column + 1).cloned();
            let head = cell(&outcomes, 0).unwrap_or_default();
            if let Some((_, version)) = head.split_once(' ') {
                table.versions.insert(client.name, version.into());
            }
            for fault in FAULTS {
                let row = outcomes.iter().position(|row| row.first() == Some(&format!("`{}`", fault.name)));
                let Some(row) = row else { continue };
                if let (Some(outcome), Some(words)) = (cell(&outcomes, row), cell(&words, row)) {
                    table.cells.insert((fault.name, client.name), Cell::parse(&outcome, &words));
                }
            }
        }
        table
    }

    pub(crate) fn version(&self, client: &str) -> Option<String> {
        self.versions.get(client).cloned()
    }

    pub(crate) fn cell(&self, place: Place) -> Option<Cell> {
        self.cells.get(&place).cloned()
    }

    pub(crate) fn insert(&mut self, place: Place, version: &str, cell: Cell) {
        self.versions.insert(place.1, version.into());
        self.cells.insert(place, cell);
    }

    pub(crate) fn write(&self) -> Result<(), String> {
        let text = fs::read_to_string(PATH).map_err(|error| error.to_string())?;
        let (before, _, behind) = between(&text).ok_or("no marks")?;
        fs::write(PATH, format!("{before}{START}{self}{END}{behind}")).map_err(|error| error.to_string())
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let code = |words: &str| if words.is_empty() { String::new() } else { format!("`{words}`") };
        self.rows(f, Cell::outcome)?;
        writeln!(f)?;
        self.rows(f, |cell| code(&cell.words))
    }
}

impl Table {
    fn rows(&self, f: &mut fmt::Formatter<'_>, text: impl Fn(&Cell) -> String) -> fmt::Result {
        write!(f, "| |")?;
        for client in CLIENTS {
            write!(f, " {} {} |", client.name, self.versions.get(client.name).map_or("", String::as_str))?;
        }
        writeln!(f, "\n|---|{}", "---|".repeat(CLIENTS.len()))?;
        for fault in FAULTS {
            write!(f, "| `{}` |", fault.name)?;
            for client in CLIENTS {
                write!(f, " {} |", self.cells.get(&(fault.name, client.name)).map_or(String::new(), &text))?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}
