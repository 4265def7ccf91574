use super::*;

fn key(name: &str) -> Principal {
    Principal::of_key(name)
}

async fn waits(budget: &MemoryBudget, owner: &Principal, bytes: usize) -> bool {
    timeout(LOOK / 2, budget.reserve(owner, bytes)).await.is_err()
}

#[tokio::test(start_paused = true)]
async fn an_owner_has_half_of_it_and_the_rest_is_for_others() {
    let budget = MemoryBudget::new(100, 10);
    let _first = budget.reserve(&key("a"), 50).await;
    assert!(waits(&budget, &key("a"), 1).await);
    let second = budget.reserve(&key("b"), 50).await;
    assert!(waits(&budget, &key("c"), 1).await);
    drop(second);
    assert!(!waits(&budget, &key("c"), 50).await);
    assert!(!waits(&budget, &Principal::default(), 50).await, "without keys there is nobody else");
}

#[tokio::test(start_paused = true)]
async fn what_waits_for_its_own_owner_holds_up_nobody_and_all_others_come_in_turn() {
    let budget = MemoryBudget::new(100, 10);
    let first = budget.reserve(&key("a"), 50).await;
    let blocked = tokio::spawn({
        let budget = budget.clone();
        async move { budget.reserve(&key("a"), 20).await }
    });
    tokio::task::yield_now().await;
    let _other = budget.reserve(&key("b"), 30).await;
    let large = tokio::spawn({
        let budget = budget.clone();
        async move { budget.reserve(&key("c"), 40).await }
    });
    tokio::task::yield_now().await;
    // There is room for it, but another came before.
    assert!(waits(&budget, &key("d"), 5).await);
    drop(first);
    drop((blocked.await.unwrap(), large.await.unwrap()));
    let state = budget.state();
    assert_eq!((state.taken, state.owners.len()), (30, 1));
}

#[tokio::test(start_paused = true)]
async fn the_slowest_is_ended_while_another_waits_and_a_fast_one_never_is() {
    let budget = MemoryBudget::new(100, 50);
    let transfer = |owner: &Principal, rate: usize| {
        let reservation = budget.reserve_now(owner, 25);
        let (moved, end) = (Arc::new(AtomicUsize::new(7)), CancellationToken::new());
        reservation.follow(moved.clone(), end.clone());
        moved.fetch_add(20 * rate, Ordering::Relaxed);
        (reservation, end)
    };
    let slow = transfer(&key("a"), 2000);
    let slowest = transfer(&key("a"), 1000);
    let fast = transfer(&key("b"), FAST);
    let arrived = transfer(&key("b"), 0);
    arrived.0.arrived();
    assert!(waits(&budget, &key("c"), 25).await);
    assert!(!slowest.1.is_cancelled(), "it is too young to have a rate");
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert!(waits(&budget, &key("b"), 10).await, "its own owner's transfers are fast");
    assert!(!slowest.1.is_cancelled());
    let other = key("c");
    let waiting = budget.reserve(&other, 25);
    let ending = async {
        slowest.1.cancelled().await;
        drop(slowest.0);
    };
    tokio::join!(waiting, ending);
    assert!(!slow.1.is_cancelled() && !fast.1.is_cancelled());
    drop((slow, fast, arrived));
    let state = budget.state();
    assert!(state.taken == 0 && state.transfers.is_empty() && state.waiting.is_empty(), "{state:?}");
}

#[tokio::test(start_paused = true)]
async fn a_share_goes_with_the_last_slice_of_its_bytes() {
    let budget = MemoryBudget::new(100, 50);
    let reservation = Arc::new(budget.reserve(&Principal::default(), 60).await);
    let slice = reservation.held_by(Bytes::from(vec![b'x'; 60])).slice(10..20);
    assert_eq!(slice, vec![b'x'; 10]);
    assert!(waits(&budget, &Principal::default(), 50).await);
    drop(slice);
    assert!(!waits(&budget, &Principal::default(), 100).await);
}

#[tokio::test(start_paused = true)]
async fn one_that_has_a_part_grows_before_new_ones_begin() {
    let budget = MemoryBudget::new(100, 100);
    let mut growing = budget.reserve(&Principal::default(), 40).await;
    let held = budget.reserve(&Principal::default(), 60).await;
    let new = tokio::spawn({
        let budget = budget.clone();
        async move { budget.reserve(&Principal::default(), 60).await }
    });
    tokio::task::yield_now().await;
    let growth = tokio::spawn(async move {
        growing.grow(60).await;
        growing
    });
    tokio::task::yield_now().await;
    drop(held);
    growth.await.unwrap();
    new.await.unwrap();
}

#[test]
fn what_may_be_dropped_leaves_half_to_what_may_not() {
    let budget = MemoryBudget::new(100, 50);
    let spare = budget.reserve_spare(&key("a"), 25).unwrap();
    assert!(budget.reserve_spare(&key("a"), 1).is_none(), "half of what one owner may have");
    let _other = budget.reserve_spare(&key("b"), 25).unwrap();
    assert!(budget.reserve_spare(&key("c"), 1).is_none(), "half of all");
    assert_eq!(budget.state().taken, 50);
    drop(spare);
    assert!(budget.reserve_spare(&key("c"), 25).is_some());
}
