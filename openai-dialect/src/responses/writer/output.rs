//! The list of output items, and the events that concern it.

use super::super::{
    event::{Emitter, json_text},
    id::output_item_id,
    item::Item,
};
use crate::json::write::ObjectWriter;

/// The output items of a response and its events.
#[derive(Debug)]
pub(super) struct Output {
    response_id: String,
    pub(super) emitter: Emitter,
    /// The items in order; `None` for an item that has not ended.
    slots: Vec<Option<Item>>,
}

/// The position of an output item and its id.
#[derive(Debug, Clone)]
pub(super) struct Slot {
    pub(super) index: usize,
    pub(super) id: String,
}

impl Slot {
    /// Writes the members that every event of an item has.
    pub(super) fn write(&self, o: &mut ObjectWriter<'_>) {
        o.scalar("item_id", &self.id);
        o.scalar("output_index", &self.index);
    }
}

impl Output {
    pub(super) fn new(response_id: String) -> Self {
        Self { response_id, emitter: Emitter::default(), slots: Vec::new() }
    }

    /// Adds an item: `response.output_item.added`. `write` writes the item with its id.
    pub(super) fn open(&mut self, prefix: &str, write: impl FnOnce(&mut Vec<u8>, &str)) -> Slot {
        let index = self.slots.len();
        let id = output_item_id(prefix, &self.response_id, index);
        self.slots.push(None);
        self.emitter.emit("response.output_item.added", |o| {
            o.scalar("output_index", &index);
            o.value_with("item", |out| write(out, &id));
        });
        Slot { index, id }
    }

    /// Ends an item: `response.output_item.done`.
    pub(super) fn close(&mut self, slot: &Slot, kind: &str, write: impl FnOnce(&mut Vec<u8>)) {
        self.store(slot, kind, write);
        let item = self.slots[slot.index].as_ref();
        self.emitter.emit("response.output_item.done", |o| {
            o.scalar("output_index", &slot.index);
            o.raw("item", item.map_or("null", Item::to_json));
        });
    }

    /// Ends an item without an event, for a response that failed or was cancelled.
    pub(super) fn store(&mut self, slot: &Slot, kind: &str, write: impl FnOnce(&mut Vec<u8>)) {
        let mut json = Vec::with_capacity(256);
        write(&mut json);
        self.slots[slot.index] = Some(Item::new(slot.id.clone(), kind, json_text(json)));
    }

    /// Returns the items that have ended, in order.
    pub(super) fn items(&self) -> impl Iterator<Item = &Item> {
        self.slots.iter().flatten()
    }

    /// Returns the number of items, including those that have not ended.
    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }
}
