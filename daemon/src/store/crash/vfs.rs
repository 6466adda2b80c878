//! SQLite's way to a [`Disk`]: a VFS (sqlite.org/vfs.html) that answers as SQLite's own on Linux does.
//!
//! A disk is mounted on a directory; connections to files in mounted directories go through the VFS, all others do not.
//! One connection at a time works on a disk, so locks are always granted, and the log's index (`-shm`) is memory of
//! that connection: like the real one it does not outlive a power loss, and recovery never trusts it.
#![allow(unsafe_code, reason = "a VFS is a table of C functions")]

use std::{
    collections::BTreeMap,
    ffi::{CStr, c_char, c_int, c_void},
    path::{Path, PathBuf},
    ptr, slice,
    sync::{Arc, Mutex, OnceLock, PoisonError, Weak, atomic},
};

use rusqlite::ffi;

use super::disk::{Disk, FileId, Refusal};

const NAME: &CStr = c"simulated_disk";
/// As SQLite's own on Linux.
const SECTOR_SIZE: c_int = 4096;
const MAX_PATH: c_int = 512;

static MOUNTED: Mutex<BTreeMap<PathBuf, Weak<Disk>>> = Mutex::new(BTreeMap::new());

/// Lets SQLite find a disk's files in a directory for as long as the disk lives.
pub(super) fn mount(directory: &Path, disk: &Arc<Disk>) {
    static REGISTERED: OnceLock<()> = OnceLock::new();
    REGISTERED.get_or_init(register);
    let mut mounted = MOUNTED.lock().unwrap_or_else(PoisonError::into_inner);
    mounted.retain(|_, disk| disk.strong_count() > 0);
    mounted.insert(directory.to_owned(), Arc::downgrade(disk));
}

/// The name of the VFS a connection to this file must use, if its directory is a simulated one.
pub(in crate::store) fn for_path(path: &Path) -> Option<&'static CStr> {
    find(path).map(|_| NAME)
}

fn find(path: &Path) -> Option<Arc<Disk>> {
    MOUNTED.lock().unwrap_or_else(PoisonError::into_inner).get(path.parent()?)?.upgrade()
}

fn register() {
    let vfs = ffi::sqlite3_vfs {
        iVersion: 2,
        szOsFile: size_of::<OpenFile>() as c_int,
        mxPathname: MAX_PATH,
        pNext: ptr::null_mut(),
        zName: NAME.as_ptr(),
        pAppData: ptr::null_mut(),
        xOpen: Some(open),
        xDelete: Some(delete),
        xAccess: Some(access),
        xFullPathname: Some(full_pathname),
        xDlOpen: None,
        xDlError: None,
        xDlSym: None,
        xDlClose: None,
        xRandomness: Some(randomness),
        xSleep: Some(sleep),
        xCurrentTime: None,
        xGetLastError: None,
        xCurrentTimeInt64: Some(current_time),
        xSetSystemCall: None,
        xGetSystemCall: None,
        xNextSystemCall: None,
    };
    // SAFETY: SQLite keeps the pointer, so the table is never freed; its name is static; it is not made the default.
    let code = unsafe { ffi::sqlite3_vfs_register(Box::into_raw(Box::new(vfs)), 0) };
    assert_eq!(code, ffi::SQLITE_OK);
}

/// What SQLite allocates for an open file; `szOsFile` bytes, begun by the part it knows.
#[repr(C)]
struct OpenFile {
    base: ffi::sqlite3_file,
    handle: *mut Handle,
}

struct Handle {
    disk: Arc<Disk>,
    file: FileId,
    /// The directory is to be synced with the next sync of the file: SQLite's own way with new journals and logs.
    sync_directory: bool,
    /// The log's index, in pages that never move.
    shared: Vec<Vec<u64>>,
}

static METHODS: ffi::sqlite3_io_methods = ffi::sqlite3_io_methods {
    iVersion: 2,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(file_size),
    xLock: Some(lock),
    xUnlock: Some(lock),
    xCheckReservedLock: Some(check_reserved_lock),
    xFileControl: Some(file_control),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(device_characteristics),
    xShmMap: Some(shm_map),
    xShmLock: Some(shm_lock),
    xShmBarrier: Some(shm_barrier),
    xShmUnmap: Some(shm_unmap),
    xFetch: None,
    xUnfetch: None,
};

/// What an outcome is called where `io_error` is the operation's own word for EIO.
fn code(outcome: Result<(), Refusal>, io_error: c_int) -> c_int {
    match outcome {
        Ok(()) => ffi::SQLITE_OK,
        Err(Refusal::Full) => ffi::SQLITE_FULL,
        Err(_) => io_error,
    }
}

/// The disk and the name on it that a path stands for.
///
/// # Safety
/// `path` is a C string.
unsafe fn resolve(path: *const c_char) -> Option<(Arc<Disk>, String)> {
    // SAFETY: the caller's promise.
    let path = Path::new(unsafe { CStr::from_ptr(path) }.to_str().ok()?);
    Some((find(path)?, path.file_name()?.to_str()?.to_owned()))
}

/// # Safety
/// `file` was opened by [`open`] and is not closed yet; SQLite uses a file in one thread at a time.
unsafe fn handle<'a>(file: *mut ffi::sqlite3_file) -> &'a mut Handle {
    // SAFETY: `open` has put a handle there, and nobody else holds it meanwhile.
    unsafe { &mut *(*file.cast::<OpenFile>()).handle }
}

unsafe extern "C" fn open(
    _vfs: *mut ffi::sqlite3_vfs,
    path: ffi::sqlite3_filename,
    file: *mut ffi::sqlite3_file,
    flags: c_int,
    out_flags: *mut c_int,
) -> c_int {
    let file = file.cast::<OpenFile>();
    // SAFETY: `file` has room for an `OpenFile`; without methods SQLite does not call `close`.
    unsafe { (*file).base.pMethods = ptr::null() };
    let mut granted = flags;
    let has = |flag| flags & flag != 0;
    let (disk, id) = if path.is_null() {
        // A temporary file, which belongs to no directory: it is kept on a disk of its own, without faults.
        let disk = Arc::new(Disk::default());
        let id = disk.open_temporary();
        (disk, id)
    } else {
        // SAFETY: SQLite passes a C string.
        let Some((disk, name)) = (unsafe { resolve(path) }) else { return ffi::SQLITE_CANTOPEN };
        let mut create = has(ffi::SQLITE_OPEN_CREATE);
        if disk.is_read_only() && has(ffi::SQLITE_OPEN_READWRITE) {
            granted = granted & !(ffi::SQLITE_OPEN_READWRITE | ffi::SQLITE_OPEN_CREATE) | ffi::SQLITE_OPEN_READONLY;
            create = false;
        }
        let id = disk.open(&name, create, has(ffi::SQLITE_OPEN_EXCLUSIVE));
        (disk, id)
    };
    let Ok(id) = id else { return ffi::SQLITE_CANTOPEN };
    let journal = ffi::SQLITE_OPEN_WAL | ffi::SQLITE_OPEN_MAIN_JOURNAL;
    let sync_directory = has(ffi::SQLITE_OPEN_CREATE) && has(journal);
    let opened = Handle { disk, file: id, sync_directory, shared: Vec::new() };
    // SAFETY: as above; `out_flags` may be null. The handle is freed by `close`.
    unsafe {
        (*file).handle = Box::into_raw(Box::new(opened));
        (*file).base.pMethods = &raw const METHODS;
        if !out_flags.is_null() {
            *out_flags = granted;
        }
    }
    ffi::SQLITE_OK
}

unsafe extern "C" fn close(file: *mut ffi::sqlite3_file) -> c_int {
    // SAFETY: `open` has put the box there, and SQLite closes a file once.
    let handle = unsafe { Box::from_raw((*file.cast::<OpenFile>()).handle) };
    handle.disk.close();
    ffi::SQLITE_OK
}

unsafe extern "C" fn delete(_vfs: *mut ffi::sqlite3_vfs, path: *const c_char, sync_directory: c_int) -> c_int {
    // SAFETY: SQLite passes a C string.
    let Some((disk, name)) = (unsafe { resolve(path) }) else { return ffi::SQLITE_IOERR_DELETE };
    match disk.delete(&name) {
        Ok(()) if sync_directory & 1 != 0 => code(disk.sync_directory(), ffi::SQLITE_IOERR_DIR_FSYNC),
        Ok(()) => ffi::SQLITE_OK,
        Err(Refusal::Missing) => ffi::SQLITE_IOERR_DELETE_NOENT,
        Err(_) => ffi::SQLITE_IOERR_DELETE,
    }
}

unsafe extern "C" fn access(
    _vfs: *mut ffi::sqlite3_vfs,
    path: *const c_char,
    flags: c_int,
    result: *mut c_int,
) -> c_int {
    // SAFETY: SQLite passes a C string.
    let Some((disk, name)) = (unsafe { resolve(path) }) else { return ffi::SQLITE_IOERR_ACCESS };
    let holds = match disk.holds(&name) {
        Ok(holds) => holds && (flags != ffi::SQLITE_ACCESS_READWRITE || !disk.is_read_only()),
        Err(_) => return ffi::SQLITE_IOERR_ACCESS,
    };
    // SAFETY: SQLite passes a place for the answer.
    unsafe { *result = c_int::from(holds) };
    ffi::SQLITE_OK
}

/// Paths are absolute already.
unsafe extern "C" fn full_pathname(
    _vfs: *mut ffi::sqlite3_vfs,
    path: *const c_char,
    room: c_int,
    out: *mut c_char,
) -> c_int {
    // SAFETY: SQLite passes a C string, and `room` bytes to copy it to.
    unsafe {
        let bytes = CStr::from_ptr(path).to_bytes_with_nul();
        if bytes.len() > room as usize {
            return ffi::SQLITE_CANTOPEN;
        }
        ptr::copy_nonoverlapping(bytes.as_ptr().cast(), out, bytes.len());
    }
    ffi::SQLITE_OK
}

/// SQLite asks its default VFS only.
unsafe extern "C" fn randomness(_vfs: *mut ffi::sqlite3_vfs, _bytes: c_int, _out: *mut c_char) -> c_int {
    0
}

/// Nobody else has a lock to wait for.
unsafe extern "C" fn sleep(_vfs: *mut ffi::sqlite3_vfs, _microseconds: c_int) -> c_int {
    0
}

/// Always 1970, in milliseconds of the Julian day: the store keeps its own time.
unsafe extern "C" fn current_time(_vfs: *mut ffi::sqlite3_vfs, out: *mut ffi::sqlite3_int64) -> c_int {
    // SAFETY: SQLite passes a place for the answer.
    unsafe { *out = 210_866_760_000_000 };
    ffi::SQLITE_OK
}

unsafe extern "C" fn read(
    file: *mut ffi::sqlite3_file,
    to: *mut c_void,
    count: c_int,
    offset: ffi::sqlite3_int64,
) -> c_int {
    // SAFETY: SQLite passes an open file, and `count` bytes to read to.
    let (handle, to) = unsafe { (handle(file), slice::from_raw_parts_mut(to.cast::<u8>(), count as usize)) };
    match handle.disk.read(handle.file, offset as usize, to) {
        Ok(found) if found == to.len() => ffi::SQLITE_OK,
        Ok(found) => {
            to[found..].fill(0);
            ffi::SQLITE_IOERR_SHORT_READ
        }
        Err(_) => ffi::SQLITE_IOERR_READ,
    }
}

unsafe extern "C" fn write(
    file: *mut ffi::sqlite3_file,
    from: *const c_void,
    count: c_int,
    offset: ffi::sqlite3_int64,
) -> c_int {
    // SAFETY: SQLite passes an open file, and `count` bytes to write.
    let (handle, from) = unsafe { (handle(file), slice::from_raw_parts(from.cast::<u8>(), count as usize)) };
    code(handle.disk.write(handle.file, offset as usize, from), ffi::SQLITE_IOERR_WRITE)
}

unsafe extern "C" fn truncate(file: *mut ffi::sqlite3_file, size: ffi::sqlite3_int64) -> c_int {
    // SAFETY: SQLite passes an open file.
    let handle = unsafe { handle(file) };
    // SQLite's own does not tell a full disk from another failure here.
    handle.disk.resize(handle.file, size as usize).map_or(ffi::SQLITE_IOERR_TRUNCATE, |()| ffi::SQLITE_OK)
}

unsafe extern "C" fn sync(file: *mut ffi::sqlite3_file, _flags: c_int) -> c_int {
    // SAFETY: SQLite passes an open file.
    let handle = unsafe { handle(file) };
    let synced = handle.disk.sync(handle.file);
    if synced.is_ok() && std::mem::take(&mut handle.sync_directory) {
        // SQLite's own overlooks it when this fails.
        let _ = handle.disk.sync_directory();
        if !handle.disk.has_power() {
            return ffi::SQLITE_IOERR_FSYNC;
        }
    }
    synced.map_or(ffi::SQLITE_IOERR_FSYNC, |()| ffi::SQLITE_OK)
}

unsafe extern "C" fn file_size(file: *mut ffi::sqlite3_file, out: *mut ffi::sqlite3_int64) -> c_int {
    // SAFETY: SQLite passes an open file and a place for the answer.
    unsafe {
        let handle = handle(file);
        match handle.disk.size(handle.file) {
            Ok(size) => {
                *out = size as ffi::sqlite3_int64;
                ffi::SQLITE_OK
            }
            Err(_) => ffi::SQLITE_IOERR_FSTAT,
        }
    }
}

unsafe extern "C" fn lock(_file: *mut ffi::sqlite3_file, _level: c_int) -> c_int {
    ffi::SQLITE_OK
}

unsafe extern "C" fn check_reserved_lock(_file: *mut ffi::sqlite3_file, out: *mut c_int) -> c_int {
    // SAFETY: SQLite passes a place for the answer.
    unsafe { *out = 0 };
    ffi::SQLITE_OK
}

unsafe extern "C" fn file_control(_file: *mut ffi::sqlite3_file, _operation: c_int, _arg: *mut c_void) -> c_int {
    ffi::SQLITE_NOTFOUND
}

unsafe extern "C" fn sector_size(_file: *mut ffi::sqlite3_file) -> c_int {
    SECTOR_SIZE
}

unsafe extern "C" fn device_characteristics(_file: *mut ffi::sqlite3_file) -> c_int {
    ffi::SQLITE_IOCAP_POWERSAFE_OVERWRITE | ffi::SQLITE_IOCAP_SUBPAGE_READ
}

unsafe extern "C" fn shm_map(
    file: *mut ffi::sqlite3_file,
    page: c_int,
    size: c_int,
    extend: c_int,
    out: *mut *mut c_void,
) -> c_int {
    // SAFETY: SQLite passes an open file.
    let handle = unsafe { handle(file) };
    let page = page as usize;
    while extend != 0 && handle.shared.len() <= page {
        match handle.disk.reserve() {
            Ok(()) => handle.shared.push(vec![0; (size as usize).div_ceil(size_of::<u64>())]),
            Err(Refusal::Full) => return ffi::SQLITE_IOERR_SHMSIZE,
            Err(_) => return ffi::SQLITE_IOERR_SHMMAP,
        }
    }
    let found = handle.shared.get_mut(page).map_or(ptr::null_mut(), |page| page.as_mut_ptr().cast());
    // SAFETY: SQLite passes a place for the answer. The page stays where it is until `shm_unmap` or `close`.
    unsafe { *out = found };
    ffi::SQLITE_OK
}

unsafe extern "C" fn shm_lock(_file: *mut ffi::sqlite3_file, _offset: c_int, _count: c_int, _flags: c_int) -> c_int {
    ffi::SQLITE_OK
}

unsafe extern "C" fn shm_barrier(_file: *mut ffi::sqlite3_file) {
    atomic::fence(atomic::Ordering::SeqCst);
}

unsafe extern "C" fn shm_unmap(file: *mut ffi::sqlite3_file, _delete: c_int) -> c_int {
    // SAFETY: SQLite passes an open file, and has no more use for the pages.
    unsafe { handle(file) }.shared.clear();
    ffi::SQLITE_OK
}
