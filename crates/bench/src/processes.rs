//! What processes use, as `/proc` tells, and which of them listens at a port.

use std::fs;
use std::time::Duration;

use anyhow::Context;

/// The length of a tick in `/proc/*/stat`, which Linux fixes for programs.
const TICKS_A_SECOND: f64 = 100.0;

/// Where fields of `/proc/*/stat` are (proc(5)), counted after the name, which ends with a bracket:
/// the parent, and the ticks of user and system, of its own and of children that it has waited for.
const PARENT: usize = 1;
const UTIME: usize = 11;
const TIMES: usize = 4;

/// How many times of `/proc/stat` add up to all there was, and which of them, and the next, were idle.
const MACHINE_TIMES: usize = 8;
const IDLE: usize = 3;

/// The state of a socket that listens, in `/proc/net/tcp`.
const LISTENS: &str = "0A";

/// How much processor time a process has had, and those of its children that have ended.
///
/// # Errors
/// That it is gone.
pub fn cpu_time(pid: u32) -> anyhow::Result<Duration> {
    let fields = stat(pid)?;
    let times = fields.iter().skip(UTIME).take(TIMES);
    let ticks: Vec<f64> = times.map(|ticks| ticks.parse()).collect::<Result<_, _>>()?;
    Ok(Duration::from_secs_f64(
        ticks.iter().sum::<f64>() / TICKS_A_SECOND,
    ))
}

/// The same of a process and all that it has started.
///
/// # Errors
/// That it is gone.
pub fn cpu_time_of_all(pid: u32) -> anyhow::Result<Duration> {
    let of_children: Duration = children(pid)
        .into_iter()
        // One that has ended meanwhile is counted with its parent.
        .filter_map(|child| cpu_time(child).ok())
        .sum();
    Ok(cpu_time(pid)? + of_children)
}

/// The most memory that was ever resident in a process, in MiB.
///
/// # Errors
/// That it is gone.
pub fn peak_memory_mib(pid: u32) -> anyhow::Result<u64> {
    Ok(peak_memory(pid)? / (1024 * 1024))
}

/// The most that was resident in it since [`forget_peak`], or ever, in bytes.
///
/// # Errors
/// That it is gone.
pub fn peak_memory(pid: u32) -> anyhow::Result<u64> {
    Ok(status(pid, "VmHWM:")? * 1024)
}

/// From now on the most that was resident in it is what is resident now (proc(5), `clear_refs`).
///
/// # Errors
/// That it is gone, or another user's.
pub fn forget_peak(pid: u32) -> anyhow::Result<()> {
    fs::write(format!("/proc/{pid}/clear_refs"), "5").context("forgetting a peak")
}

/// How much memory is resident in a process, in bytes.
///
/// # Errors
/// That it is gone.
pub fn resident_memory(pid: u32) -> anyhow::Result<u64> {
    Ok(status(pid, "VmRSS:")? * 1024)
}

/// How many threads a process has.
///
/// # Errors
/// That it is gone.
pub fn threads(pid: u32) -> anyhow::Result<u64> {
    status(pid, "Threads:")
}

/// How many files a process has open, sockets among them.
///
/// # Errors
/// That it is gone, or another user's.
pub fn open_files(pid: u32) -> anyhow::Result<u64> {
    let files = fs::read_dir(format!("/proc/{pid}/fd")).context("reading /proc")?;
    Ok(u64::try_from(files.count())?)
}

/// How much processor time all processes of the machine together have had, and how much there was.
#[derive(Clone, Copy, Debug)]
pub struct Machine {
    busy: Duration,
    all: Duration,
}

impl Machine {
    /// Since it was started.
    ///
    /// # Errors
    /// That `/proc` does not tell.
    pub fn now() -> anyhow::Result<Self> {
        let stat = fs::read_to_string("/proc/stat").context("reading /proc")?;
        let line = stat.lines().find_map(|line| line.strip_prefix("cpu "));
        let ticks = line.context("all processors")?.split_whitespace();
        // What guests had is in the first two already.
        let ticks: Vec<f64> = ticks
            .take(MACHINE_TIMES)
            .map(str::parse)
            .collect::<Result<_, _>>()?;
        let all: f64 = ticks.iter().sum();
        let idle: f64 = ticks.iter().skip(IDLE).take(2).sum();
        let time = |ticks: f64| Duration::from_secs_f64(ticks / TICKS_A_SECOND);
        Ok(Self {
            busy: time(all - idle),
            all: time(all),
        })
    }

    /// Of what there was until `later`, what was in use, in percent.
    pub fn busy_percent(&self, later: &Self) -> f64 {
        self.others_percent(later, Duration::ZERO)
    }

    /// Of what there was until `later`, what others than those had who took `ours`, in percent.
    pub fn others_percent(&self, later: &Self, ours: Duration) -> f64 {
        let busy = later.busy.saturating_sub(self.busy);
        let all = later
            .all
            .saturating_sub(self.all)
            .max(Duration::from_millis(1));
        100.0 * busy.saturating_sub(ours).as_secs_f64() / all.as_secs_f64()
    }
}

/// What the machine is: its processors and its memory, as it calls them.
pub fn description() -> String {
    let cpus = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let named = |name: &'static str| {
        let lines = cpus.lines().filter(move |line| line.starts_with(name));
        lines.map(|line| line.rsplit_once(": ").map_or("", |(_, value)| value))
    };
    let model = named("model name").next().unwrap_or("unknown").to_owned();
    let count = named("processor").count();
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let memory = memory
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"));
    let kib = memory.and_then(|text| text.trim().trim_end_matches(" kB").parse::<u64>().ok());
    let gib = kib.unwrap_or_default() / (1024 * 1024);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("{count} x {model}, {gib} GiB, Linux {}", kernel.trim())
}

/// Which process listens at that port of this machine; `None` where it cannot be seen, as in a
/// container.
pub fn listening_at(port: u16) -> Option<u32> {
    let sockets = ["/proc/net/tcp", "/proc/net/tcp6"];
    let tables = sockets
        .iter()
        .filter_map(|file| fs::read_to_string(file).ok());
    let inodes: Vec<String> = tables.flat_map(|table| inodes(&table, port)).collect();
    pids().find(|pid| inodes.iter().any(|inode| has_open(*pid, inode)))
}

/// The inodes of sockets that listen at a port, out of a table like `/proc/net/tcp`.
fn inodes(table: &str, port: u16) -> Vec<String> {
    let port = format!(":{port:04X}");
    let inode = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let listens = fields.get(1)?.ends_with(&port) && *fields.get(3)? == LISTENS;
        listens.then(|| fields.get(9).map(|inode| format!("socket:[{inode}]")))?
    };
    table.lines().filter_map(inode).collect()
}

fn has_open(pid: u32, socket: &str) -> bool {
    let Ok(files) = fs::read_dir(format!("/proc/{pid}/fd")) else {
        return false;
    };
    let targets = files
        .flatten()
        .filter_map(|file| fs::read_link(file.path()).ok());
    targets
        .into_iter()
        .any(|target| target.as_os_str() == socket)
}

fn children(parent: u32) -> Vec<u32> {
    let is_child = |pid: &u32| {
        let fields = stat(*pid).unwrap_or_default();
        fields.get(PARENT) == Some(&parent.to_string())
    };
    pids().filter(is_child).collect()
}

fn pids() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// A number of `/proc/*/status`; memory is in KiB there.
fn status(pid: u32, name: &str) -> anyhow::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).context("reading /proc")?;
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let number = line.and_then(|line| line.split_whitespace().next());
    Ok(number.with_context(|| name.to_owned())?.parse()?)
}

/// The fields after the name.
fn stat(pid: u32) -> anyhow::Result<Vec<String>> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).context("reading /proc")?;
    let (_, after_name) = stat.rsplit_once(')').context("a name in brackets")?;
    Ok(after_name.split_whitespace().map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_listens_is_found_by_the_port() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        assert_eq!(listening_at(port), Some(std::process::id()));
        drop(listener);
        assert_eq!(listening_at(port), None);
    }

    #[test]
    fn what_is_not_ours_is_others() {
        let at = |busy, all| Machine {
            busy: Duration::from_secs(busy),
            all: Duration::from_secs(all),
        };
        let percent = at(10, 100).others_percent(&at(16, 108), Duration::from_secs(4));
        assert!((percent - 25.0).abs() < 1e-9);
        let percent = at(10, 100).busy_percent(&at(16, 108));
        assert!((percent - 75.0).abs() < 1e-9);
        Machine::now().unwrap();
        assert!(description().contains("Linux"));
    }

    #[test]
    fn an_open_file_is_counted() {
        let own = std::process::id();
        let files: Vec<_> = (0..100)
            .map(|_| fs::File::open("/dev/null").unwrap())
            .collect();
        assert!(open_files(own).unwrap() >= 100);
        drop(files);
    }

    #[test]
    fn a_process_that_works_uses_time_and_memory() {
        let before = cpu_time_of_all(std::process::id()).unwrap();
        let mut sum = 0_u64;
        while cpu_time_of_all(std::process::id()).unwrap() == before {
            sum = (0..100_000_u64).fold(sum, u64::wrapping_add);
        }
        let own = std::process::id();
        assert!(resident_memory(own).unwrap() > 0 && peak_memory_mib(own).unwrap() > 0);
        assert!(threads(own).unwrap() > 0);
        assert!(cpu_time(u32::MAX).is_err());
    }
}
