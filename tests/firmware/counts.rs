//! How often the board executes each instruction, and whose instructions they are.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use libtest_mimic::Failed;

use crate::qemu::{Board, Setup, elf};

/// A board whose instructions are counted.
pub(crate) struct Counted {
    pub(crate) board: Board,
    binary: &'static str,
    file: PathBuf,
}

/// How often each halfword of the flash was executed.
#[derive(Clone)]
pub(crate) struct Counts {
    binary: &'static str,
    counts: Vec<u64>,
}

/// Whose an instruction is: the innermost function's that is neither of Rust's library, nor heapless's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Part {
    Core,
    Handlers,
    Adapter,
    Smoltcp,
    Board,
    /// The binary's handler.
    Binary,
    /// Copies, divisions, the log.
    Rest,
}

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

impl Part {
    fn of(file: &str) -> Option<Self> {
        let known = [
            ("core/src/handlers/", Self::Handlers),
            ("core/", Self::Core),
            ("adapters/smoltcp/", Self::Adapter),
            ("adapters/io/", Self::Adapter),
            ("smoltcp-", Self::Smoltcp),
            ("examples/lm3s6965/smoltcp-", Self::Smoltcp),
            ("examples/lm3s6965/src/bin/", Self::Binary),
            ("examples/lm3s6965/src/mailbox.rs", Self::Binary),
            ("examples/lm3s6965/src/", Self::Board),
        ];
        // Those of the registry begin with the name of a crate: `run` builds them so.
        let file = file.strip_prefix(ROOT).unwrap_or(file).trim_start_matches('/');
        known.iter().find(|(folder, _)| file.starts_with(folder)).map(|(_, part)| *part)
    }
}

impl Counted {
    /// A board that listens, in time that depends on nothing but its instructions while it works.
    pub(crate) fn start(binary: &'static str, cable: Option<String>) -> Result<Self, Failed> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let file = std::env::temp_dir().join(format!("smtpd-counts-{}-{number}", std::process::id()));
        let plugin = format!("{},counts={}", plugin()?.display(), file.display());
        let options = ["-icount", "shift=5", "-plugin", &plugin].map(str::to_owned);
        let board = Board::with(binary, &Setup { cable, options: &options, ..Setup::default() });
        let counted = Self { board: board?, binary, file };
        counted.board.logs(|line| line.starts_with("INFO  listening on"))?;
        Ok(counted)
    }

    /// What was executed so far.
    pub(crate) fn counts(&self) -> Result<Counts, Failed> {
        let octets = fs::read(&self.file)?;
        let counts = octets.as_chunks().0.iter().map(|count| u64::from_ne_bytes(*count)).collect();
        Ok(Counts { binary: self.binary, counts })
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.file);
    }
}

/// The plugin, built once.
fn plugin() -> Result<PathBuf, Failed> {
    static IS_BUILT: Mutex<bool> = Mutex::new(false);
    let plugin = Path::new(ROOT).join("target/count.so");
    let mut is_built = IS_BUILT.lock().expect("no panic");
    if !*is_built {
        let source = Path::new(ROOT).join("tests/firmware/count.c");
        let status = Command::new("cc").args(["-O2", "-shared", "-fPIC", "-o"]).arg(&plugin).arg(source).status()?;
        *is_built = status.success();
    }
    is_built.then_some(plugin).ok_or_else(|| "cc does not build count.c".into())
}

/// Why nothing can be counted here.
pub(crate) fn missing() -> Option<String> {
    ["cc", "addr2line", "nm", "size"].into_iter().find_map(|program| {
        let found = Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        (!found.is_ok_and(|status| status.success()))
            .then(|| format!("{program} (Debian: gcc, binutils) is not installed"))
    })
}

impl Counts {
    /// What was executed since.
    pub(crate) fn since(&self, before: &Self) -> Self {
        let pairs = self.counts.iter().zip(&before.counts);
        Self { binary: self.binary, counts: pairs.map(|(now, before)| now - before).collect() }
    }

    pub(crate) fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// How often a function was entered.
    pub(crate) fn entries(&self, function: &str) -> Result<u64, Failed> {
        let output = Command::new("nm").arg(elf(self.binary)).output()?;
        let symbols = String::from_utf8_lossy(&output.stdout).into_owned();
        let is_it = |line: &&str| line.split(' ').nth(2) == Some(function);
        let line = symbols.lines().find(is_it).ok_or_else(|| format!("{function} is no function"))?;
        // Bit 0 says that it is Thumb code.
        let address = usize::from_str_radix(line.split(' ').next().unwrap_or(""), 16)? & !1;
        Ok(self.counts.get(address / 2).copied().unwrap_or(0))
    }

    /// By part and function, from the ELF's lines.
    pub(crate) fn profile(&self) -> Result<Profile, Failed> {
        let used = self.counts.iter().enumerate().filter(|(_, count)| **count > 0);
        let used: Vec<(usize, u64)> = used.map(|(halfword, count)| (halfword * 2, *count)).collect();
        let mut command = Command::new("addr2line");
        command.args(["-a", "-i", "-f", "-C", "-e"]).arg(elf(self.binary));
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let mut input = child.stdin.take().ok_or("no input")?;
        let questions: String = used.iter().map(|(address, _)| format!("{address:#x}\n")).collect();
        let writer = thread::spawn(move || input.write_all(questions.as_bytes()));
        let output = child.wait_with_output()?;
        writer.join().map_err(|_| "a panic")??;
        let mut profile = Profile::default();
        let mut counts = used.iter();
        for frames in String::from_utf8_lossy(&output.stdout).split("0x").skip(1) {
            let (_, count) = counts.next().ok_or("more answers than questions")?;
            profile.add(frames, *count);
        }
        match counts.next() {
            None => Ok(profile),
            Some(_) => Err("addr2line does not answer all".into()),
        }
    }
}

/// Instructions by part, and by function.
#[derive(Default)]
pub(crate) struct Profile {
    pub(crate) parts: BTreeMap<Part, u64>,
    functions: BTreeMap<(Part, String), u64>,
}

impl Profile {
    /// An address and its frames: a line with the function, a line with the place, from the innermost on.
    fn add(&mut self, frames: &str, count: u64) {
        let lines: Vec<&str> = frames.lines().skip(1).collect();
        let mut frames = lines.chunks_exact(2);
        let decides = frames.find_map(|frame| Some((Part::of(frame[1])?, frame[0])));
        let (part, function) = decides.unwrap_or((Part::Rest, lines.last_chunk::<2>().map_or("?", |frame| frame[0])));
        *self.parts.entry(part).or_default() += count;
        *self.functions.entry((part, function.to_owned())).or_default() += count;
    }

    pub(crate) fn of(&self, parts: &[Part]) -> u64 {
        parts.iter().filter_map(|part| self.parts.get(part)).sum()
    }

    /// The functions of these parts that take most.
    pub(crate) fn top(&self, parts: &[Part], most: usize) -> String {
        let mut functions: Vec<_> = self.functions.iter().filter(|((part, _), _)| parts.contains(part)).collect();
        functions.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
        let lines = functions.iter().take(most);
        lines.map(|((part, function), count)| format!("      {count:>10}  {part:?} {function}\n")).collect()
    }
}
