use std::collections::HashMap;

use crate::record::InstanceId;

/// The instances of a workload's functions, as a leaf knows them: a call goes to the one that was used last
/// of those with room, so that the others become idle.
#[derive(Debug)]
pub(super) struct Instances {
    all: Vec<Instance>,
    by_id: HashMap<InstanceId, u32>,
    /// Places of instances that are gone.
    free: Vec<u32>,
    /// For each function its instances that have room, the one that was used last at the end.
    open: Vec<Vec<u32>>,
    /// The most calls of an instance at once.
    limit: u32,
}

#[derive(Debug, Clone, Copy)]
struct Instance {
    id: InstanceId,
    function: u32,
    calls: u32,
    has_ended: bool,
}

impl Instances {
    pub(super) fn new(functions: usize, limit: u32) -> Self {
        let open = vec![Vec::new(); functions];
        Self { all: Vec::new(), by_id: HashMap::new(), free: Vec::new(), open, limit: limit.max(1) }
    }

    /// Gives a call to an instance of a function; nothing if none has room.
    pub(super) fn take(&mut self, function: u32) -> Option<(u32, InstanceId)> {
        let open = &mut self.open[function as usize];
        let place = *open.last()?;
        let instance = &mut self.all[place as usize];
        instance.calls += 1;
        if instance.calls == self.limit {
            open.pop();
        }
        Some((place, instance.id))
    }

    /// Adds an instance that was started for a call, which it gets. Returns its place.
    pub(super) fn add(&mut self, function: u32, id: InstanceId) -> u32 {
        let instance = Instance { id, function, calls: 1, has_ended: false };
        let place = match self.free.pop() {
            Some(place) => {
                self.all[place as usize] = instance;
                place
            }
            None => {
                self.all.push(instance);
                (self.all.len() - 1) as u32
            }
        };
        self.by_id.insert(id, place);
        if self.limit > 1 {
            self.open[function as usize].push(place);
        }
        place
    }

    /// A call of the instance at this place has ended.
    pub(super) fn give_back(&mut self, place: u32) {
        let instance = &mut self.all[place as usize];
        instance.calls -= 1;
        match (instance.has_ended, instance.calls + 1 == self.limit) {
            (true, _) if instance.calls == 0 => self.free.push(place),
            (false, true) => self.open[instance.function as usize].push(place),
            _ => {}
        }
    }

    /// An instance takes no more calls.
    pub(super) fn end(&mut self, id: InstanceId) {
        let Some(place) = self.by_id.remove(&id) else { return };
        let instance = &mut self.all[place as usize];
        instance.has_ended = true;
        self.open[instance.function as usize].retain(|open| *open != place);
        if instance.calls == 0 {
            self.free.push(place);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instance_has_at_most_its_calls_and_the_one_used_last_is_used_next() {
        let id = |number: u64| InstanceId::from_bits(number << 32);
        let mut instances = Instances::new(2, 2);
        assert_eq!(instances.take(0), None);
        let first = instances.add(0, id(1));
        assert_eq!(instances.take(0), Some((first, id(1))));
        assert_eq!((instances.take(0), instances.take(1)), (None, None));
        let second = instances.add(0, id(2));
        instances.give_back(first);
        assert_eq!(instances.take(0), Some((first, id(1))));
        assert_eq!(instances.take(0), Some((second, id(2))));
        assert_eq!(instances.take(0), None);
        // The one that ends takes no more, and its place is used again when its calls are over.
        instances.end(id(1));
        instances.give_back(first);
        assert_ne!(instances.add(1, id(3)), first);
        instances.give_back(first);
        assert_eq!(instances.add(0, id(4)), first);
        instances.end(id(9));
    }
}
