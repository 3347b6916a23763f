//! What an error of a consumer means for the tail.

use rdkafka::error::{KafkaError, RDKafkaErrorCode};

/// What an error of the consumer means.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// Nothing: the end of the topic, or the group that is not used.
    Ignored,
    /// librdkafka connects again by itself.
    Away,
    /// The offset is not in the topic.
    Gone,
    /// A batch is skipped.
    Unreadable,
    /// Anything else: a new consumer may do better, and can do no harm.
    Unclear,
}

/// Whatever is not known to be harmless is not [`Fate::Ignored`] and not [`Fate::Away`].
pub(super) fn fate(error: &KafkaError) -> Fate {
    use RDKafkaErrorCode as Code;
    // A variant of its own, of which rdkafka gives no code.
    if matches!(error, KafkaError::PartitionEOF(_)) {
        return Fate::Ignored;
    }
    let Some(code) = error.rdkafka_error_code() else { return Fate::Unclear };
    match code {
        Code::PartitionEOF
        | Code::GroupAuthorizationFailed
        | Code::CoordinatorNotAvailable
        | Code::CoordinatorLoadInProgress
        | Code::NotCoordinator
        | Code::WaitingForCoordinator
        | Code::PollExceeded => Fate::Ignored,
        Code::AllBrokersDown
        | Code::BrokerTransportFailure
        | Code::Resolve
        | Code::OperationTimedOut
        | Code::TimedOutQueue
        | Code::RequestTimedOut
        | Code::NetworkException
        | Code::LeaderNotAvailable
        | Code::NotLeaderForPartition
        | Code::BrokerNotAvailable
        | Code::ReplicaNotAvailable
        | Code::SSL
        | Code::Authentication
        | Code::SaslAuthenticationFailed => Fate::Away,
        Code::AutoOffsetReset | Code::NoOffset | Code::OffsetOutOfRange | Code::LogTruncation => Fate::Gone,
        Code::BadMessage
        | Code::BadCompression
        | Code::NotImplemented
        | Code::Underflow
        | Code::InvalidMessage
        | Code::InvalidMessageSize
        | Code::MessageSizeTooLarge
        | Code::UnsupportedCompressionType => Fate::Unreadable,
        _ => Fate::Unclear,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// librdkafka may go on behind what it cannot read: none of these may pass for an outage.
    #[test]
    fn fate_never_trusts_a_consumer_that_skips() {
        use RDKafkaErrorCode as Code;
        for code in [Code::BadMessage, Code::BadCompression, Code::NotImplemented, Code::MessageSizeTooLarge]
        {
            assert_eq!(fate(&KafkaError::MessageConsumption(code)), Fate::Unreadable);
        }
        for code in [Code::AutoOffsetReset, Code::LogTruncation] {
            assert_eq!(fate(&KafkaError::MessageConsumption(code)), Fate::Gone);
        }
        assert_eq!(fate(&KafkaError::MessageConsumption(Code::UnknownTopicOrPartition)), Fate::Unclear);
        assert_eq!(fate(&KafkaError::MessageConsumptionFatal(Code::Fenced)), Fate::Unclear);
        assert_eq!(fate(&KafkaError::MessageConsumption(Code::AllBrokersDown)), Fate::Away);
        assert_eq!(fate(&KafkaError::PartitionEOF(0)), Fate::Ignored);
    }
}
