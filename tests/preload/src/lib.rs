//! Stands between a process and the C library (`LD_PRELOAD`), in fault tests only: shows it another wall clock, tells it
//! whether that clock is synchronised, and has writes below one directory fail.
//!
//! Orders come from a file of three 64-bit numbers, mapped into memory, so that they take effect at once: seconds that the
//! wall clock is off; 1 if the clock is not synchronised, 2 if it is; 1 if the disk is full, 2 if it is read only.
//!
//! Only calls through the C library are seen. Waits until a wall-clock time, which the kernel ends by its own clock, are not
//! changed: what waits by the monotonic clock, as it should, does not notice.

#![allow(clippy::missing_safety_doc, reason = "each has the contract of the function it stands for")]

use std::{
    ffi::{CStr, CString, c_char, c_int, c_uint, c_void},
    os::unix::ffi::OsStrExt,
    sync::OnceLock,
    sync::atomic::{AtomicI64, AtomicU64, Ordering},
};

use libc::{
    AT_FDCWD, SYS_clock_gettime, clockid_t, mode_t, off64_t, size_t, ssize_t, stat64, time_t, timespec, timeval,
};

/// What an NTP client leaves behind that has synchronised the clock.
const SYNCHRONISED: &CStr = c"/run/systemd/timesync/synchronized";

/// The mapped orders.
struct Orders {
    offset_seconds: AtomicI64,
    synchronised: AtomicU64,
    disk: AtomicU64,
}

fn orders() -> Option<&'static Orders> {
    static ORDERS: OnceLock<Option<&'static Orders>> = OnceLock::new();
    *ORDERS.get_or_init(|| {
        let path = CString::new(std::env::var_os("SNOWGATE_PRELOAD_ORDERS")?.as_bytes()).ok()?;
        // SAFETY: the file outlives the process and is as long as `Orders`; it is never unmapped. Its other user writes
        // whole, aligned numbers.
        unsafe {
            let file = libc::syscall(libc::SYS_openat, AT_FDCWD, path.as_ptr(), libc::O_RDONLY, 0);
            let file = c_int::try_from(file).ok().filter(|file| *file >= 0)?;
            let length = size_of::<Orders>();
            let memory = libc::mmap(std::ptr::null_mut(), length, libc::PROT_READ, libc::MAP_SHARED, file, 0);
            libc::close(file);
            (memory != libc::MAP_FAILED).then(|| &*memory.cast::<Orders>())
        }
    })
}

fn offset() -> i64 {
    orders().map_or(0, |orders| orders.offset_seconds.load(Ordering::Relaxed))
}

/// `Some` if somebody has said whether the clock is synchronised.
fn synchronised() -> Option<bool> {
    match orders()?.synchronised.load(Ordering::Relaxed) {
        1 => Some(false),
        2 => Some(true),
        _ => None,
    }
}

/// The error that writes end with.
fn disk_fault() -> Option<c_int> {
    match orders()?.disk.load(Ordering::Relaxed) {
        1 => Some(libc::ENOSPC),
        2 => Some(libc::EROFS),
        _ => None,
    }
}

fn fail(error: c_int) {
    // SAFETY: the address of this thread's `errno` is always valid.
    unsafe { *libc::__errno_location() = error }
}

/// Calls the C library's own function of this name and type, unless there is a fault to fail with.
macro_rules! call {
    ($fault:expr, $name:literal as $type:ty, $($argument:expr),*) => {{
        static REAL: OnceLock<usize> = OnceLock::new();
        match $fault {
            Some(fault) => {
                fail(fault);
                -1
            }
            // SAFETY: the name is that of a C function of this type, and the arguments are the caller's, as they came.
            None => unsafe {
                let address = *REAL.get_or_init(|| libc::dlsym(libc::RTLD_NEXT, $name.as_ptr()) as usize);
                assert!(address != 0, "the C library has no {:?}", $name);
                std::mem::transmute::<usize, $type>(address)($($argument),*)
            },
        }
    }};
}

// ── The wall clock ──────────────────────────────────────────────────────────────────────────────────────────────────────

#[unsafe(no_mangle)]
unsafe extern "C" fn clock_gettime(clock: clockid_t, time: *mut timespec) -> c_int {
    // SAFETY: the caller's arguments, as they came.
    let result = unsafe { libc::syscall(SYS_clock_gettime, clock, time) };
    if result == 0 && matches!(clock, libc::CLOCK_REALTIME | libc::CLOCK_REALTIME_COARSE | libc::CLOCK_TAI) {
        // SAFETY: the kernel has just written there.
        unsafe { (*time).tv_sec += offset() }
    }
    result as c_int
}

#[unsafe(no_mangle)]
unsafe extern "C" fn gettimeofday(time: *mut timeval, _zone: *mut c_void) -> c_int {
    let mut now = timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `now` is ours.
    let result = unsafe { clock_gettime(libc::CLOCK_REALTIME, &raw mut now) };
    if result == 0 && !time.is_null() {
        // SAFETY: not null, and the caller says that it may be written to.
        unsafe { *time = timeval { tv_sec: now.tv_sec, tv_usec: now.tv_nsec / 1000 } }
    }
    result
}

#[unsafe(no_mangle)]
unsafe extern "C" fn time(time: *mut time_t) -> time_t {
    let mut now = timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `now` is ours.
    unsafe { clock_gettime(libc::CLOCK_REALTIME, &raw mut now) };
    if !time.is_null() {
        // SAFETY: not null, and the caller says that it may be written to.
        unsafe { *time = now.tv_sec }
    }
    now.tv_sec
}

#[unsafe(no_mangle)]
unsafe extern "C" fn adjtimex(state: *mut libc::timex) -> c_int {
    // SAFETY: the caller's arguments, as they came.
    let result = unsafe { libc::syscall(libc::SYS_adjtimex, state) } as c_int;
    if result >= 0 && !state.is_null() {
        // SAFETY: the kernel has just written there.
        unsafe { (*state).time.tv_sec += offset() };
        match synchronised() {
            Some(true) => {
                // SAFETY: as above.
                unsafe { (*state).status &= !libc::STA_UNSYNC };
                return libc::TIME_OK;
            }
            Some(false) => {
                // SAFETY: as above.
                unsafe { (*state).status |= libc::STA_UNSYNC };
                return libc::TIME_ERROR;
            }
            None => {}
        }
    }
    result
}

#[unsafe(no_mangle)]
unsafe extern "C" fn ntp_adjtime(state: *mut libc::timex) -> c_int {
    // SAFETY: the caller's arguments, as they came.
    unsafe { adjtimex(state) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn clock_adjtime(_clock: clockid_t, state: *mut libc::timex) -> c_int {
    // SAFETY: the caller's arguments, as they came.
    unsafe { adjtimex(state) }
}

/// Whether this path is the mark of a synchronised clock, and whether the mark is to be there.
unsafe fn mark(path: *const c_char) -> Option<bool> {
    // SAFETY: the caller passes a C string or null.
    let is_mark = !path.is_null() && unsafe { CStr::from_ptr(path) } == SYNCHRONISED;
    if is_mark { synchronised() } else { None }
}

/// The path that is looked at instead.
fn stand_in(there: bool) -> *const c_char {
    if there { c"/".as_ptr() } else { c"/nowhere/synchronized".as_ptr() }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn statx(
    folder: c_int,
    path: *const c_char,
    flags: c_int,
    mask: c_uint,
    buffer: *mut libc::statx,
) -> c_int {
    // SAFETY: the caller's arguments, as they came.
    let path = unsafe { mark(path) }.map_or(path, stand_in);
    // SAFETY: as above.
    unsafe { libc::syscall(libc::SYS_statx, folder, path, flags, mask, buffer) as c_int }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn access(path: *const c_char, mode: c_int) -> c_int {
    // SAFETY: the caller's arguments, as they came.
    let path = unsafe { mark(path) }.map_or(path, stand_in);
    // SAFETY: as above.
    unsafe { libc::syscall(libc::SYS_faccessat, AT_FDCWD, path, mode) as c_int }
}

// `stat` is a name of its own here, so that it cannot be mistaken for the type.
#[unsafe(export_name = "stat64")]
unsafe extern "C" fn stat_path(path: *const c_char, buffer: *mut stat64) -> c_int {
    // SAFETY: the caller's arguments, as they came.
    let path = unsafe { mark(path) }.map_or(path, stand_in);
    call!(None, c"stat64" as unsafe extern "C" fn(*const c_char, *mut stat64) -> c_int, path, buffer)
}

// ── The disk ────────────────────────────────────────────────────────────────────────────────────────────────────────────

fn directory() -> Option<&'static [u8]> {
    static DIRECTORY: OnceLock<Option<Vec<u8>>> = OnceLock::new();
    let read = || Some(std::env::var_os("SNOWGATE_PRELOAD_DIRECTORY")?.as_bytes().to_vec());
    DIRECTORY.get_or_init(read).as_deref().filter(|directory| !directory.is_empty())
}

/// Whether an open file lies below the directory.
fn lies_below(file: c_int) -> bool {
    let Some(directory) = directory() else { return false };
    let link = std::path::PathBuf::from(format!("/proc/self/fd/{file}"));
    std::fs::read_link(link).is_ok_and(|path| path.as_os_str().as_bytes().starts_with(directory))
}

/// The fault that a change of an open file runs into.
fn fault_of(file: c_int) -> Option<c_int> {
    disk_fault().filter(|_| lies_below(file))
}

/// The fault that opening a file runs into: on a full disk nothing new can be made, on a read-only one nothing be written.
unsafe fn fault_of_opening(path: *const c_char, flags: c_int) -> Option<c_int> {
    let fault = disk_fault()?;
    // SAFETY: the caller passes a C string.
    let path = unsafe { CStr::from_ptr(path) };
    let below = directory().is_some_and(|directory| path.to_bytes().starts_with(directory));
    let new = flags & libc::O_CREAT != 0 && {
        // SAFETY: a C string.
        let exists = unsafe { libc::syscall(libc::SYS_faccessat, AT_FDCWD, path.as_ptr(), libc::F_OK) };
        exists != 0
    };
    let changes = match fault {
        libc::EROFS => new || flags & libc::O_ACCMODE != libc::O_RDONLY,
        _ => new,
    };
    (below && changes).then_some(fault)
}

type Open = unsafe extern "C" fn(*const c_char, c_int, mode_t) -> c_int;
type Write = unsafe extern "C" fn(c_int, *const c_void, size_t) -> ssize_t;
type WriteAt = unsafe extern "C" fn(c_int, *const c_void, size_t, off64_t) -> ssize_t;
type WriteVector = unsafe extern "C" fn(c_int, *const libc::iovec, c_int) -> ssize_t;
type Truncate = unsafe extern "C" fn(c_int, off64_t) -> c_int;
type OnTwoPaths = unsafe extern "C" fn(*const c_char, *const c_char) -> c_int;
type OnPath = unsafe extern "C" fn(*const c_char) -> c_int;

// These two take their last argument only with `O_CREAT`; where it is left out, what is passed on is not looked at.
#[unsafe(no_mangle)]
unsafe extern "C" fn open(path: *const c_char, flags: c_int, mode: mode_t) -> c_int {
    // SAFETY: the caller passes a C string.
    let fault = unsafe { fault_of_opening(path, flags) };
    call!(fault, c"open" as Open, path, flags, mode)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn open64(path: *const c_char, flags: c_int, mode: mode_t) -> c_int {
    // SAFETY: the caller passes a C string.
    let fault = unsafe { fault_of_opening(path, flags) };
    call!(fault, c"open64" as Open, path, flags, mode)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn write(file: c_int, bytes: *const c_void, length: size_t) -> ssize_t {
    call!(fault_of(file), c"write" as Write, file, bytes, length)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn writev(file: c_int, pieces: *const libc::iovec, count: c_int) -> ssize_t {
    call!(fault_of(file), c"writev" as WriteVector, file, pieces, count)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn pwrite64(file: c_int, bytes: *const c_void, length: size_t, at: off64_t) -> ssize_t {
    call!(fault_of(file), c"pwrite64" as WriteAt, file, bytes, length, at)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn ftruncate64(file: c_int, length: off64_t) -> c_int {
    call!(fault_of(file), c"ftruncate64" as Truncate, file, length)
}

unsafe fn fault_of_path(path: *const c_char) -> Option<c_int> {
    // A full disk still forgets files.
    let fault = disk_fault().filter(|fault| *fault == libc::EROFS)?;
    // SAFETY: the caller passes a C string.
    let path = unsafe { CStr::from_ptr(path) };
    directory().is_some_and(|directory| path.to_bytes().starts_with(directory)).then_some(fault)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn rename(from: *const c_char, to: *const c_char) -> c_int {
    // SAFETY: the caller passes a C string.
    let fault = unsafe { fault_of_path(to) };
    call!(fault, c"rename" as OnTwoPaths, from, to)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn unlink(path: *const c_char) -> c_int {
    // SAFETY: the caller passes a C string.
    let fault = unsafe { fault_of_path(path) };
    call!(fault, c"unlink" as OnPath, path)
}
