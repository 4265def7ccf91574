//! Long computations, on threads of low priority and in turns between their owners, so that the threads that serve
//! requests stay free.
//!
//! A thread cannot be stopped in the middle of a computation: each bounds its own steps before it comes here.

use std::any::Any;
use std::collections::{HashMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Condvar, LazyLock, Mutex, MutexGuard, PoisonError};
use std::thread;

use tokio::runtime::{self, Runtime};
use tokio::sync::oneshot;
use tokio_util::task::AbortOnDropHandle;

/// Bytes of text from which on reading them through may take as long as many small calls.
pub const LARGE: usize = 64 << 10;
/// Against the threads that serve requests, which have 0. The kernel gives a thread at 10 a tenth of their share.
const NICENESS: i32 = 10;
/// Of each thread, in bytes: schemas whose references nest are compiled by recursion.
const STACK: usize = 16 << 20;

static POOL: LazyLock<ComputePool> = LazyLock::new(ComputePool::default);
/// Half of the cores, as for requests. Asked once: the answer takes a dozen files of the control groups.
static MOST_THREADS: LazyLock<usize> =
    LazyLock::new(|| thread::available_parallelism().map_or(1, |cores| cores.get().div_ceil(2)));

static RUNTIME: LazyLock<Option<Runtime>> = LazyLock::new(|| {
    let mut runtime = runtime::Builder::new_multi_thread();
    runtime.worker_threads(1).enable_all().thread_name("mcpo-apart").on_thread_start(lower_priority);
    let started = runtime.build();
    started
        .inspect_err(|error| tracing::error!(%error, "no thread can be started for large requests; they delay those of others"))
        .ok()
});

/// The name of an API key or of a server, on whose turn work is done.
///
/// Work of one owner waits for earlier work of that owner, and takes turns with work of others.
pub type Owner<'a> = &'a str;

type ComputeJob = Box<dyn FnOnce() + Send>;

/// All threads that compute, and the jobs that wait for them.
#[derive(Default)]
struct ComputePool {
    waiting: Mutex<JobQueues>,
    arrived: Condvar,
}

#[derive(Default)]
struct JobQueues {
    queues: HashMap<Box<str>, VecDeque<ComputeJob>>,
    /// Owners that have work, the next first.
    turns: VecDeque<Box<str>>,
    count: usize,
    threads: usize,
    idle: usize,
}

/// Runs `work` apart from the calling thread and waits for its result.
///
/// Dropping the future before the work's turn cancels it; once begun, the work goes on to its end, and its result is
/// dropped.
///
/// # Panics
///
/// As `work` does.
pub async fn run<T: Send + 'static>(owner: Owner<'_>, work: impl FnOnce() -> T + Send + 'static) -> T {
    let (give, given) = oneshot::channel();
    POOL.add(owner, Box::new(move || compute(give, work)));
    match given.await.expect("a job always gives its result while its caller waits") {
        Ok(result) => result,
        Err(panic) => resume_unwind(panic),
    }
}

/// Runs `work` over `size` bytes: at once when they are few, else as [`run`] does.
///
/// So a megabyte of one caller does not delay the small calls of others.
///
/// # Panics
///
/// As `work` does.
pub async fn run_sized<T: Send + 'static>(
    owner: Owner<'_>,
    size: usize,
    work: impl FnOnce() -> T + Send + 'static,
) -> T {
    if size < LARGE { work() } else { run(owner, work).await }
}

/// Runs a future on a thread of low priority.
///
/// For work that goes through megabytes again and again between its waits. Dropping the future cancels it.
///
/// # Panics
///
/// As `work` does.
pub async fn run_async<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> T {
    let Some(runtime) = &*RUNTIME else { return work.await };
    match AbortOnDropHandle::new(runtime.spawn(work)).await {
        Ok(result) => result,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => resume_unwind(panic),
            Err(_) => unreachable!("the runtime lives as long as the process, and only dropping cancels"),
        },
    }
}

/// Drops `value` apart from the calling thread.
///
/// Freeing the memory of ten thousand tools is a long computation, too.
pub fn drop_apart<T: Send + 'static>(owner: Owner<'_>, value: T) {
    POOL.add(owner, Box::new(move || drop(value)));
}

fn compute<T>(give: oneshot::Sender<Result<T, Box<dyn Any + Send>>>, work: impl FnOnce() -> T) {
    if give.is_closed() {
        return;
    }
    let _caller_left = give.send(catch_unwind(AssertUnwindSafe(work)));
}

impl ComputePool {
    fn add(&'static self, owner: Owner<'_>, job: ComputeJob) {
        let mut waiting = self.waiting();
        waiting.add(owner, job);
        if waiting.count <= waiting.idle {
            self.arrived.notify_one();
        } else if waiting.threads < *MOST_THREADS {
            let begun =
                thread::Builder::new().name("mcpo-compute".into()).stack_size(STACK).spawn(|| self.serve());
            match begun {
                Ok(_) => waiting.threads += 1,
                // One thread takes all the work in the end.
                Err(_) if waiting.threads > 0 => {}
                Err(error) => {
                    let jobs = waiting.take_all();
                    drop(waiting);
                    tracing::error!(%error, "no thread can be started for a long computation; it delays the requests of others");
                    jobs.into_iter().for_each(|job| job());
                }
            }
        }
    }

    fn serve(&self) {
        lower_priority();
        loop {
            let job = {
                let mut waiting = self.waiting();
                loop {
                    if let Some(job) = waiting.next() {
                        break job;
                    }
                    waiting.idle += 1;
                    waiting = self.arrived.wait(waiting).unwrap_or_else(PoisonError::into_inner);
                    waiting.idle -= 1;
                }
            };
            job();
        }
    }

    fn waiting(&self) -> MutexGuard<'_, JobQueues> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn lower_priority() {
    if let Err(error) = rustix::process::setpriority_process(Some(rustix::thread::gettid()), NICENESS) {
        tracing::debug!(%error, "long computations run at the priority of requests");
    }
}

impl JobQueues {
    fn add(&mut self, owner: Owner<'_>, job: ComputeJob) {
        self.count += 1;
        match self.queues.get_mut(owner) {
            Some(queue) => queue.push_back(job),
            None => {
                self.queues.insert(owner.into(), VecDeque::from([job]));
                self.turns.push_back(owner.into());
            }
        }
    }

    fn next(&mut self) -> Option<ComputeJob> {
        let owner = self.turns.pop_front()?;
        self.count -= 1;
        let queue = self.queues.get_mut(&owner)?;
        let job = queue.pop_front();
        if queue.is_empty() {
            self.queues.remove(&owner);
        } else {
            self.turns.push_back(owner);
        }
        job
    }

    fn take_all(&mut self) -> Vec<ComputeJob> {
        std::iter::from_fn(|| self.next()).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[tokio::test]
    async fn work_that_waits_is_done_on_a_thread_of_low_priority_and_ends_with_its_caller() {
        let thread = run_async(async {
            tokio::task::yield_now().await;
            let priority = rustix::process::getpriority_process(Some(rustix::thread::gettid()));
            (thread::current().id(), priority.unwrap())
        });
        let (thread, priority) = thread.await;
        assert!(thread != thread::current().id() && priority == NICENESS, "{priority}");
        assert!(tokio::spawn(run_async(async { panic!("as it is meant") })).await.unwrap_err().is_panic());
        let held = Arc::new(());
        let holds = held.clone();
        let (begin, begun) = oneshot::channel();
        let work = tokio::spawn(run_async(async move {
            begin.send(()).unwrap();
            std::future::pending::<()>().await;
            drop(holds)
        }));
        begun.await.unwrap();
        work.abort();
        while Arc::strong_count(&held) > 1 {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn the_result_comes_back_and_so_does_a_panic() {
        assert_eq!(run("a", || 1 + 1).await, 2);
        let panicking = tokio::spawn(run("a", || panic!("on purpose")));
        assert!(panicking.await.unwrap_err().is_panic());
        assert_eq!(run("a", || 3).await, 3);
    }

    #[tokio::test]
    async fn computing_threads_give_way_to_those_that_serve() {
        let niceness =
            run("a", || rustix::process::getpriority_process(Some(rustix::thread::gettid())).unwrap());
        assert!(niceness.await >= NICENESS);
    }

    #[tokio::test]
    async fn few_bytes_are_worked_on_at_once_and_many_on_another_thread() {
        let here = thread::current().id();
        assert_eq!(run_sized("a", LARGE - 1, || thread::current().id()).await, here);
        assert_ne!(run_sized("a", LARGE, || thread::current().id()).await, here);
    }

    #[test]
    fn owners_take_turns_however_much_each_has_waiting() {
        let done = Arc::new(Mutex::new(Vec::new()));
        let mut waiting = JobQueues::default();
        for (owner, number) in [("a", 1), ("a", 2), ("a", 3), ("b", 1), ("c", 1), ("b", 2)] {
            let done = done.clone();
            waiting.add(owner, Box::new(move || done.lock().unwrap().push((owner, number))));
        }
        waiting.take_all().into_iter().for_each(|job| job());
        assert_eq!(*done.lock().unwrap(), [("a", 1), ("b", 1), ("c", 1), ("a", 2), ("b", 2), ("a", 3)]);
        assert!(waiting.queues.is_empty() && waiting.turns.is_empty());
    }

    #[tokio::test]
    async fn work_that_is_no_longer_waited_for_is_not_begun() {
        let (give, given) = oneshot::channel();
        drop(given);
        compute(give, || panic!("begun"));
    }
}
