use futures_util::FutureExt as _;

use super::*;

fn key(name: &str) -> Principal {
    Principal::of_key(name)
}

fn slots(all: usize, each: usize) -> Arc<Slots> {
    Arc::new(Slots::new(Bounds { all, each }))
}

/// All that `principal` gets at once.
fn fill(slots: &Arc<Slots>, principal: &Principal) -> Vec<Slot> {
    std::iter::from_fn(|| slots.take(principal).now_or_never()).collect()
}

#[test]
fn a_caller_that_wants_all_leaves_some_to_another() {
    let slots = slots(64, 48);
    let greedy = fill(&slots, &key("greedy"));
    assert_eq!(greedy.len(), 48);
    let other = fill(&slots, &key("other"));
    assert!((1..=16).contains(&other.len()), "{}", other.len());
    drop((greedy, other));
    assert_eq!(fill(&slots, &key("other")).len(), 48);
}

#[test]
fn a_slot_that_is_free_is_taken_without_a_lock() {
    let slots = slots(4, 3);
    let queue = lock(&slots.queue);
    let slot = slots.take(&key("a")).now_or_never();
    assert!(slot.is_some());
    drop(slot);
    drop(queue);
}

#[tokio::test]
async fn calls_that_wait_get_theirs_in_turns_between_callers() {
    let slots = slots(1, 1);
    let first = slots.take(&key("greedy")).await;
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let mut calls = Vec::new();
    for name in ["greedy", "greedy", "greedy", "other", "other", "third"] {
        let (slots, tell) = (slots.clone(), tell.clone());
        calls.push(tokio::spawn(async move {
            let _slot = slots.take(&key(name)).await;
            tell.send(name).unwrap();
        }));
        tokio::task::yield_now().await;
    }
    drop((first, tell));
    let mut order = Vec::new();
    while let Some(name) = told.recv().await {
        order.push(name);
    }
    assert_eq!(order, ["greedy", "other", "third", "greedy", "other", "greedy"]);
}

#[tokio::test]
async fn a_call_that_gives_up_waiting_is_forgotten_and_leaves_its_slot_to_the_next() {
    let slots = slots(1, 1);
    let first = slots.take(&key("a")).await;
    assert!(slots.take(&key("b")).now_or_never().is_none());
    assert_eq!((slots.waiting.load(SeqCst), lock(&slots.queue).callers.len()), (0, 0));
    let (b, c) = (key("b"), key("c"));
    let (mut left, mut stays) = (Box::pin(slots.take(&b)), Box::pin(slots.take(&c)));
    assert!(left.as_mut().now_or_never().is_none() && stays.as_mut().now_or_never().is_none());
    // It was given to `b`, which has not looked yet.
    drop(first);
    drop(left);
    assert!(stays.as_mut().now_or_never().is_some());
    assert_eq!((slots.taken.load(SeqCst), slots.waiting.load(SeqCst)), (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_bound_is_passed_and_no_call_is_forgotten_under_load() {
    let slots = slots(8, 6);
    let most = Arc::new(AtomicUsize::new(0));
    let calls = (0..4_000).map(|number: usize| {
        let (slots, most) = (slots.clone(), most.clone());
        tokio::spawn(async move {
            let caller = key(["a", "b", "c"][number % 3]);
            let take = slots.take(&caller);
            // Some leave before it is their turn.
            let slot = match number % 7 {
                0 => tokio::time::timeout(std::time::Duration::from_micros(50), take).await.ok(),
                _ => Some(take.await),
            };
            most.fetch_max(slots.taken.load(SeqCst), SeqCst);
            tokio::task::yield_now().await;
            drop(slot);
        })
    });
    let all = futures_util::future::join_all(calls.collect::<Vec<_>>());
    tokio::time::timeout(std::time::Duration::from_secs(30), all).await.expect("a call waits for ever");
    assert!(most.load(SeqCst) <= 8);
    assert_eq!((slots.taken.load(SeqCst), slots.waiting.load(SeqCst)), (0, 0));
    assert!(slots.held.pin().values().all(|held| held.load(SeqCst) == 0));
}
