//! Compiles proto/ without protoc (protox). Every message gets serde::Serialize with digests in hex and
//! enums by name, so that `--format json` shows what people compare with sha256sum.

use prost_build::Config;
use protox::prost_reflect::prost_types::{
    DescriptorProto, FieldDescriptorProto, FileDescriptorSet,
    field_descriptor_proto::{Label, Type},
};

const EVENT_PROTOS: [&str; 2] = ["promotion/v1/record.proto", "promotion/v1/fields.proto"];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=proto");
    #[cfg(feature = "node")]
    {
        let files = EVENT_PROTOS.into_iter().chain([
            "promotion/v1/emitter.proto",
            "promotion/v1/auditor.proto",
            "promotion/v1/consumer.proto",
            "promotion/v1/operator.proto",
            "promotion/v1/custodian.proto",
            "promotion/v1/gate.proto",
            "promotion/v1/review.proto",
            "promotion/v1/registry.proto",
        ]);
        let descriptors = protox::compile(files, ["proto"])?;
        let config = config(&descriptors);
        tonic_prost_build::configure().compile_fds_with_config(descriptors, config)?;
    }
    #[cfg(not(feature = "node"))]
    {
        let descriptors = protox::compile(EVENT_PROTOS, ["proto"])?;
        config(&descriptors).compile_fds(descriptors)?;
    }
    Ok(())
}

fn config(descriptors: &FileDescriptorSet) -> Config {
    let mut config = Config::new();
    config.type_attribute(".", "#[derive(serde::Serialize)]");
    for file in &descriptors.file {
        for message in &file.message_type {
            message_attributes(&mut config, &format!(".{}", file.package()), message);
        }
    }
    config
}

fn message_attributes(config: &mut Config, scope: &str, message: &DescriptorProto) {
    let scope = format!("{scope}.{}", message.name());
    for field in &message.field {
        let path = format!("{scope}.{}", field.name());
        if let Some(function) = serializer(field) {
            config.field_attribute(
                path,
                format!("#[serde(serialize_with = \"crate::event::json::{function}\")]"),
            );
        }
    }
}

fn serializer(field: &FieldDescriptorProto) -> Option<String> {
    match (field.r#type(), field.label()) {
        (Type::Bytes, Label::Repeated) => Some("hex_list".into()),
        // Documents that people wrote or read stay documents.
        (Type::Bytes, _) if ["inputs", "jwk"].contains(&field.name()) => Some("document".into()),
        (Type::Bytes, _) if field.name() == "yaml" => Some("text".into()),
        (Type::Bytes, _) => Some("hex".into()),
        (Type::Enum, _) => {
            let name = field.type_name().rsplit('.').next()?;
            let snake = name.chars().fold(String::new(), |mut s, c| {
                if c.is_uppercase() && !s.is_empty() {
                    s.push('_');
                }
                s.extend(c.to_lowercase());
                s
            });
            Some(snake)
        }
        _ => None,
    }
}
