//! A disk in memory, as treacherous as POSIX allows.
//!
//! What was written is *seen* at once but *durable* only after a sync of that file; a file's name is durable only after
//! a sync of the directory. When the power fails, each pending write survives, is lost, or is torn between 512-byte
//! sectors, in any combination, whatever the order in which they were made; a lost write may still have made its file
//! longer, by zeros. After a sync that failed everything is as pending as before, and the next one may make up for it.
//! (Linux may do worse: forget what it could not write while readers go on seeing it. No SQLite is proof against that
//! when the process, but not the machine, starts again afterwards, because recovery believes what it reads.)
//!
//! Bytes of a sector that were not written are never damaged: SQLite is told so (`POWERSAFE_OVERWRITE`), here as by its
//! own file system layer.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// What reaches the medium as a whole.
const SECTOR: usize = 512;

/// One directory's files. Operations are numbered from 0; reading ones and changing ones count separately.
#[derive(Default)]
pub(super) struct Disk {
    state: Mutex<State>,
}

/// A file, named or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FileId(usize);

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// The power fails during the operation, and stays off until [`Disk::restore_power`].
    PowerLoss,
    /// The operation fails, the next one does not.
    IoErrorOnce,
    /// Every operation fails from now on until [`Disk::repair`].
    IoErrors,
    /// No file can grow any more until [`Disk::repair`].
    Full,
    /// Nothing can be changed any more until [`Disk::repair`]; as with every remount, all that was written is made
    /// durable first.
    ReadOnly,
}

/// When a fault strikes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plan {
    pub(super) fault: Fault,
    /// Operations that still go well.
    pub(super) after: u64,
    /// Whether reading counts: nothing is gained by losing power during a read rather than during the next change.
    pub(super) reads_count: bool,
}

/// Why an operation failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// EIO, or no power.
    Io,
    /// ENOSPC.
    Full,
    /// EROFS.
    ReadOnly,
    /// ENOENT.
    Missing,
    /// EEXIST.
    Exists,
    /// The power fails in this very operation: what it was about to do is pending.
    PowerFails,
}

#[derive(Default)]
struct State {
    files: Vec<File>,
    /// As processes see it.
    names: BTreeMap<String, FileId>,
    durable_names: BTreeMap<String, FileId>,
    pending_names: Vec<(String, Option<FileId>)>,
    open: usize,
    operations: u64,
    plan: Option<Plan>,
    /// The last fault that struck and was not mended yet; all but [`Fault::IoErrorOnce`] last.
    struck: Option<Fault>,
    /// No fault strikes, nothing is counted.
    calm: bool,
    dice: Dice,
}

#[derive(Default)]
struct File {
    seen: Vec<u8>,
    durable: Vec<u8>,
    pending: Vec<Change>,
}

enum Change {
    Write { offset: usize, bytes: Vec<u8> },
    Resize(usize),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Access {
    Read,
    Change,
    Grow,
}

/// What of the pending changes survives.
#[derive(Clone, Copy)]
enum Survival {
    All,
    Nothing,
    /// What was done first; the last of it may be torn.
    Beginning,
    Anything,
}

impl Disk {
    pub(super) fn new(seed: u64) -> Self {
        Self { state: Mutex::new(State { dice: Dice(seed), ..State::default() }) }
    }

    /// Plans the next fault and counts operations from here.
    pub(super) fn plan(&self, plan: Option<Plan>) {
        let mut state = self.lock();
        state.operations = 0;
        state.plan = plan;
    }

    /// Operations since the last [`Disk::plan`]; without one, reading ones count.
    pub(super) fn operations(&self) -> u64 {
        self.lock().operations
    }

    pub(super) fn has_power(&self) -> bool {
        self.lock().struck != Some(Fault::PowerLoss)
    }

    /// Mends what is broken, except that the power stays off; what it was, if there was anything.
    pub(super) fn repair(&self) -> Option<Fault> {
        self.lock().struck.take_if(|fault| *fault != Fault::PowerLoss)
    }

    /// Whether a fault is still to come.
    pub(super) fn has_plan(&self) -> bool {
        self.lock().plan.is_some()
    }

    /// Whether a fault has struck and was not mended.
    pub(super) fn is_broken(&self) -> bool {
        self.lock().struck.is_some()
    }

    /// Has a look at what is there: meanwhile nothing fails, unless the power is off, and nothing is counted.
    pub(super) fn calmly<T>(&self, look: impl FnOnce() -> T) -> T {
        self.lock().calm = true;
        let found = look();
        self.lock().calm = false;
        found
    }

    /// Cuts the power now, between operations.
    pub(super) fn cut_power(&self) {
        self.lock().struck = Some(Fault::PowerLoss);
    }

    /// Switches on again: what is durable now is what is seen.
    pub(super) fn restore_power(&self) {
        let mut guard = self.lock();
        let state = &mut *guard;
        assert_eq!(state.open, 0, "a process has outlived the power");
        let survival = state.dice.survival();
        for file in &mut state.files {
            file.settle(survival, &mut state.dice);
            file.seen.clone_from(&file.durable);
        }
        let count = state.pending_names.len();
        let first = state.dice.below(count + 1);
        for (number, (name, file)) in state.pending_names.drain(..).enumerate() {
            let survives = match survival {
                Survival::All => true,
                Survival::Nothing => false,
                Survival::Beginning => number < first,
                Survival::Anything => state.dice.below(2) == 0,
            };
            match file {
                _ if !survives => {}
                Some(file) => drop(state.durable_names.insert(name, file)),
                None => drop(state.durable_names.remove(&name)),
            }
        }
        state.names.clone_from(&state.durable_names);
        state.struck = None;
    }

    /// Opens a file by name; `create` makes it if need be, `exclusive` only then.
    pub(super) fn open(&self, name: &str, create: bool, exclusive: bool) -> Result<FileId, Refusal> {
        let mut state = self.lock();
        let known = state.names.get(name).copied();
        let admitted = state.admit(if create && known.is_none() { Access::Change } else { Access::Read });
        let file = match (known, admitted) {
            (Some(_), Ok(())) if exclusive => return Err(Refusal::Exists),
            (Some(file), Ok(())) => file,
            (None, Ok(())) if !create => return Err(Refusal::Missing),
            (None, Ok(()) | Err(Refusal::PowerFails)) => {
                let file = state.add();
                state.names.insert(name.to_owned(), file);
                state.pending_names.push((name.to_owned(), Some(file)));
                admitted?;
                file
            }
            (_, Err(refusal)) => return Err(refusal),
        };
        state.open += 1;
        Ok(file)
    }

    /// Opens a file that has no name and is gone when it is closed.
    pub(super) fn open_temporary(&self) -> Result<FileId, Refusal> {
        let mut state = self.lock();
        state.admit(Access::Grow)?;
        state.open += 1;
        Ok(state.add())
    }

    /// Gives a file back; never fails, as `close` need not.
    pub(super) fn close(&self) {
        self.lock().open -= 1;
    }

    /// Whether changes are possible, as `access` says.
    pub(super) fn is_read_only(&self) -> bool {
        self.lock().struck == Some(Fault::ReadOnly)
    }

    /// Whether there is such a file, and not an empty one.
    pub(super) fn holds(&self, name: &str) -> Result<bool, Refusal> {
        let mut state = self.lock();
        state.admit(Access::Read)?;
        Ok(state.names.get(name).is_some_and(|file| !state.files[file.0].seen.is_empty()))
    }

    /// Reads from a file into `to`; the number of bytes there were.
    pub(super) fn read(&self, file: FileId, offset: usize, to: &mut [u8]) -> Result<usize, Refusal> {
        let mut state = self.lock();
        state.admit(Access::Read)?;
        let from = state.files[file.0].seen.get(offset..).unwrap_or_default();
        let count = from.len().min(to.len());
        to[..count].copy_from_slice(&from[..count]);
        Ok(count)
    }

    pub(super) fn size(&self, file: FileId) -> Result<usize, Refusal> {
        let mut state = self.lock();
        state.admit(Access::Read)?;
        Ok(state.files[file.0].seen.len())
    }

    /// Writes; on a full disk, what does not make the file longer.
    pub(super) fn write(&self, file: FileId, offset: usize, bytes: &[u8]) -> Result<(), Refusal> {
        let mut state = self.lock();
        let within = state.files[file.0].seen.len().saturating_sub(offset).min(bytes.len());
        let admitted = state.admit(if within < bytes.len() { Access::Grow } else { Access::Change });
        let written = match admitted {
            Ok(()) | Err(Refusal::PowerFails) => bytes.len(),
            Err(Refusal::Full) => within,
            Err(_) => 0,
        };
        if written > 0 {
            state.files[file.0].change(Change::Write { offset, bytes: bytes[..written].to_vec() });
        }
        admitted
    }

    pub(super) fn resize(&self, file: FileId, size: usize) -> Result<(), Refusal> {
        let mut state = self.lock();
        let longer = size > state.files[file.0].seen.len();
        let admitted = state.admit(if longer { Access::Grow } else { Access::Change });
        if matches!(admitted, Ok(()) | Err(Refusal::PowerFails)) {
            state.files[file.0].change(Change::Resize(size));
        }
        admitted
    }

    /// Makes a file's content durable, but not its name.
    pub(super) fn sync(&self, file: FileId) -> Result<(), Refusal> {
        let mut guard = self.lock();
        let state = &mut *guard;
        let admitted = state.admit(Access::Change);
        let file = &mut state.files[file.0];
        match admitted {
            // Nothing is pending.
            Err(Refusal::ReadOnly) => return Ok(()),
            Ok(()) => file.settle(Survival::All, &mut state.dice),
            Err(_) => {}
        }
        admitted
    }

    /// Makes names durable, even where it says that it failed: SQLite's own file system layer overlooks that for a new
    /// log, so the log may be lost with the next power loss. This is known, and would be found again and again.
    pub(super) fn sync_directory(&self) -> Result<(), Refusal> {
        let mut guard = self.lock();
        let state = &mut *guard;
        let admitted = state.admit(Access::Change);
        if !matches!(admitted, Ok(()) | Err(Refusal::Io)) || state.struck == Some(Fault::PowerLoss) {
            return admitted;
        }
        state.durable_names.clone_from(&state.names);
        state.pending_names.clear();
        admitted
    }

    pub(super) fn delete(&self, name: &str) -> Result<(), Refusal> {
        let mut state = self.lock();
        let admitted = state.admit(Access::Change);
        if matches!(admitted, Ok(()) | Err(Refusal::PowerFails)) {
            if state.names.remove(name).is_none() {
                return Err(Refusal::Missing);
            }
            state.pending_names.push((name.to_owned(), None));
        }
        admitted
    }

    /// Asks for room outside of any file: the pages of the log's index, which the kernel never needs to write.
    pub(super) fn reserve(&self) -> Result<(), Refusal> {
        self.lock().admit(Access::Grow)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn add(&mut self) -> FileId {
        self.files.push(File::default());
        FileId(self.files.len() - 1)
    }

    fn make_all_durable(&mut self) {
        self.files.iter_mut().for_each(|file| file.settle(Survival::All, &mut self.dice));
        self.durable_names.clone_from(&self.names);
        self.pending_names.clear();
    }

    /// Counts an operation and says whether it may go ahead.
    fn admit(&mut self, access: Access) -> Result<(), Refusal> {
        if self.struck == Some(Fault::PowerLoss) {
            return Err(Refusal::Io);
        }
        if self.calm {
            return Ok(());
        }
        if access != Access::Read || self.plan.is_none_or(|plan| plan.reads_count) {
            let now = self.operations;
            self.operations += 1;
            if let Some(plan) = self.plan.take_if(|plan| plan.after == now) {
                self.struck = Some(plan.fault);
                match plan.fault {
                    Fault::PowerLoss => return Err(Refusal::PowerFails),
                    Fault::IoErrorOnce => return Err(Refusal::Io),
                    Fault::ReadOnly => self.make_all_durable(),
                    Fault::IoErrors | Fault::Full => {}
                }
            }
        }
        match (self.struck, access) {
            (Some(Fault::IoErrors), _) => Err(Refusal::Io),
            (Some(Fault::Full), Access::Grow) => Err(Refusal::Full),
            (Some(Fault::ReadOnly), Access::Grow | Access::Change) => Err(Refusal::ReadOnly),
            _ => Ok(()),
        }
    }
}

impl File {
    fn change(&mut self, change: Change) {
        match &change {
            Change::Write { offset, bytes } => put(&mut self.seen, *offset, bytes),
            Change::Resize(size) => self.seen.resize(*size, 0),
        }
        self.pending.push(change);
    }

    /// Decides what becomes of the pending changes.
    fn settle(&mut self, survival: Survival, dice: &mut Dice) {
        let first = dice.below(self.pending.len() + 1);
        for (number, change) in self.pending.drain(..).enumerate() {
            let fate = match survival {
                Survival::All => Fate::Survives,
                Survival::Nothing => Fate::Lost,
                Survival::Beginning if number < first => Fate::Survives,
                Survival::Beginning if number == first => Fate::Torn,
                Survival::Beginning => Fate::Lost,
                Survival::Anything => [Fate::Survives, Fate::Lost, Fate::Torn, Fate::Zeros][dice.below(4)],
            };
            match (change, fate) {
                (_, Fate::Lost) | (Change::Resize(_), Fate::Zeros) => {}
                (Change::Resize(size), Fate::Survives | Fate::Torn) => self.durable.resize(size, 0),
                (Change::Write { offset, bytes }, Fate::Survives) => put(&mut self.durable, offset, &bytes),
                (Change::Write { offset, bytes }, Fate::Torn) => {
                    for (at, part) in sectors(offset, &bytes) {
                        if dice.below(2) == 0 {
                            put(&mut self.durable, at, part);
                        }
                    }
                }
                (Change::Write { offset, bytes }, Fate::Zeros) => {
                    let size = self.durable.len().max(offset + bytes.len());
                    self.durable.resize(size, 0);
                }
            }
        }
    }
}

/// What becomes of one pending change.
#[derive(Clone, Copy)]
enum Fate {
    Survives,
    Lost,
    /// Some of its sectors survive.
    Torn,
    /// Only the file's new length survives.
    Zeros,
}

fn put(content: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    let end = offset + bytes.len();
    if content.len() < end {
        content.resize(end, 0);
    }
    content[offset..end].copy_from_slice(bytes);
}

/// The parts of a write, cut where the medium's sectors meet.
fn sectors(offset: usize, bytes: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let at = offset + bytes.len() - rest.len();
        let (part, after) = rest.split_at((SECTOR - at % SECTOR).min(rest.len()));
        rest = after;
        (!part.is_empty()).then_some((at, part))
    })
}

/// SplitMix64 (Steele, Lea, Flood 2014): the same seed, the same fate.
#[derive(Debug, Clone, Default)]
pub(super) struct Dice(pub(super) u64);

impl Dice {
    /// A number below `end`, which is not 0.
    pub(super) fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((mixed ^ (mixed >> 31)) % end as u64) as usize
    }

    fn survival(&mut self) -> Survival {
        match self.below(8) {
            0 => Survival::All,
            1 => Survival::Nothing,
            2..=4 => Survival::Beginning,
            _ => Survival::Anything,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What can be left of a durable file of two sectors of 1, after 2 was written from the last byte of the first one to
    /// the first byte of a third one, something was done, and the power was lost.
    fn outcomes(after: impl Fn(&Disk, FileId)) -> Vec<(bool, Vec<u8>)> {
        let mut seen = Vec::new();
        for seed in 0..300 {
            let disk = Disk::new(seed);
            let file = disk.open("f", true, false).unwrap();
            disk.write(file, 0, &[1; 2 * SECTOR]).unwrap();
            disk.sync(file).unwrap();
            disk.write(file, SECTOR - 1, &[2; SECTOR + 2]).unwrap();
            after(&disk, file);
            disk.cut_power();
            assert_eq!(disk.write(file, 0, &[3]), Err(Refusal::Io));
            disk.close();
            disk.restore_power();
            let mut left = vec![9; 3 * SECTOR];
            let found = disk.open("f", false, false);
            let count = found.map_or(0, |file| disk.read(file, 0, &mut left).unwrap());
            left.truncate(count);
            // One byte stands for what was written to its sector.
            let outcome = (
                found.is_ok(),
                [SECTOR - 1, 2 * SECTOR - 1, 2 * SECTOR].into_iter().filter_map(|at| left.get(at).copied()).collect(),
            );
            if !seen.contains(&outcome) {
                seen.push(outcome);
            }
        }
        seen.sort();
        seen
    }

    #[test]
    fn what_is_not_synced_may_be_lost_or_torn_and_what_is_may_not() {
        let named = |disk: &Disk, _| disk.sync_directory().unwrap();
        let expected: Vec<_> = [
            vec![1, 1],
            vec![1, 1, 0],
            vec![1, 1, 2],
            vec![1, 2],
            vec![1, 2, 2],
            vec![2, 1],
            vec![2, 1, 2],
            vec![2, 2],
            vec![2, 2, 2],
        ]
        .map(|left| (true, left))
        .to_vec();
        assert_eq!(outcomes(named), expected);
        let synced = |disk: &Disk, file| {
            disk.sync(file).unwrap();
            disk.sync_directory().unwrap();
        };
        assert_eq!(outcomes(synced), [(true, vec![2, 2, 2])]);
        let nameless = |disk: &Disk, file| disk.sync(file).unwrap();
        assert_eq!(outcomes(nameless), [(false, vec![]), (true, vec![2, 2, 2])]);
        // A sync that failed has done nothing.
        let failed = |disk: &Disk, file| {
            disk.sync_directory().unwrap();
            disk.plan(Some(Plan { fault: Fault::IoErrorOnce, after: 0, reads_count: true }));
            assert_eq!(disk.sync(file), Err(Refusal::Io));
        };
        assert_eq!(outcomes(failed), expected);
    }

    #[test]
    fn faults_strike_when_they_are_planned() {
        let disk = Disk::new(0);
        let file = disk.open("f", true, false).unwrap();
        disk.plan(Some(Plan { fault: Fault::Full, after: 1, reads_count: false }));
        disk.write(file, 0, b"one").unwrap();
        assert_eq!(disk.size(file), Ok(3));
        assert_eq!(disk.write(file, 2, b"two"), Err(Refusal::Full));
        let mut left = [0; 4];
        assert_eq!((disk.read(file, 0, &mut left), &left), (Ok(3), b"ont\0"));
        disk.repair();
        disk.write(file, 2, b"two").unwrap();
        disk.plan(Some(Plan { fault: Fault::ReadOnly, after: 1, reads_count: true }));
        assert_eq!(disk.size(file), Ok(5));
        assert_eq!((disk.delete("f"), disk.resize(file, 0)), (Err(Refusal::ReadOnly), Err(Refusal::ReadOnly)));
        assert_eq!(disk.size(file), Ok(5));
    }
}
