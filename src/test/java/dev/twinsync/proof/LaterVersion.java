package dev.twinsync.proof;

import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.twinsync.record.Json;
import java.util.Map;
import org.apache.kafka.clients.consumer.ConsumerInterceptor;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.ProducerInterceptor;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;

/**
 * Makes an instance one of a later version, as far as others can tell: each message it publishes says so and holds a
 * member more, while those of this version go on beside it. Given to every client, so it reads too, and leaves that be.
 */
public final class LaterVersion implements ProducerInterceptor<Object, Object>, ConsumerInterceptor<Object, Object> {

    /** The argument that an instance is started with. */
    static final String SETTING = "--KAFKA_CLIENT_INTERCEPTOR_CLASSES=" + LaterVersion.class.getName();

    static final int NUMBER = 2;

    @Override
    public ProducerRecord<Object, Object> onSend(ProducerRecord<Object, Object> sent) {
        // a dead letter keeps the bytes it came with
        if (sent.topic().endsWith("-dlt")
                || !(sent.value() instanceof byte[] bytes)
                || !(Json.stored(bytes) instanceof ObjectNode envelope)) {
            return sent;
        }
        envelope.put("v", NUMBER);
        envelope.putObject("origin").put("instance", "later");
        return new ProducerRecord<>(
                sent.topic(), sent.partition(), sent.timestamp(), sent.key(), Json.bytes(envelope), sent.headers());
    }

    @Override
    public ConsumerRecords<Object, Object> onConsume(ConsumerRecords<Object, Object> records) {
        return records;
    }

    @Override
    public void onAcknowledgement(RecordMetadata metadata, Exception exception) {}

    @Override
    public void onCommit(Map<TopicPartition, OffsetAndMetadata> offsets) {}

    @Override
    public void configure(Map<String, ?> settings) {}

    @Override
    public void close() {}
}
