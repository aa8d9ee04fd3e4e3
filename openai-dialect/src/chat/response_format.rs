//! `response_format`: the format that a response must have, such as JSON, or JSON that matches a schema.

use serde::de::MapAccess;
use triptych_proto::v1 as pb;

use super::json_schema::read_json_schema;
use crate::json::{
    object::{Member, Object},
    write::{Write, write_object},
};

impl Object for pb::ResponseFormat {
    fn read_member<'de, A: MapAccess<'de>>(&mut self, member: Member<'_, 'de, A>) -> Result<(), A::Error> {
        match member.name() {
            "type" => member.read_or_keep(&mut self.r#type, &mut self.extra_json),
            "json_schema" => member.read_into(&mut self.json_schema, &mut self.extra_json),
            _ => member.keep_in(&mut self.extra_json),
        }
    }
}

impl Write for pb::ResponseFormat {
    fn write(&self, out: &mut Vec<u8>) {
        let Self { r#type, json_schema, extra_json } = self;
        write_object(out, |o| {
            if !r#type.is_empty() {
                o.scalar("type", r#type);
            }
            o.optional_value("json_schema", json_schema.as_ref());
            o.extra(extra_json);
        });
    }
}

impl Object for pb::JsonSchemaFormat {
    fn read_member<'de, A: MapAccess<'de>>(&mut self, member: Member<'_, 'de, A>) -> Result<(), A::Error> {
        match member.name() {
            "name" => member.read_or_keep(&mut self.name, &mut self.extra_json),
            "description" => member.read_into(&mut self.description, &mut self.extra_json),
            "schema" => read_json_schema(member, &mut self.schema_json, &mut self.extra_json),
            "strict" => member.read_into(&mut self.strict, &mut self.extra_json),
            _ => member.keep_in(&mut self.extra_json),
        }
    }
}

impl Write for pb::JsonSchemaFormat {
    fn write(&self, out: &mut Vec<u8>) {
        let Self { name, description, schema_json, strict, extra_json } = self;
        write_object(out, |o| {
            if !name.is_empty() {
                o.scalar("name", name);
            }
            o.optional("description", description.as_ref());
            if !schema_json.is_empty() {
                o.raw("schema", schema_json);
            }
            o.optional("strict", strict.as_ref());
            o.extra(extra_json);
        });
    }
}
