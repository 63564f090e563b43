package dev.twinsync;

import dev.twinsync.record.Schema;
import dev.twinsync.record.Schemas;
import dev.twinsync.state.Topics;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.TopicPartition;

/** What is still on its way through Kafka. */
public final class Uncommitted {

    private Uncommitted() {}

    /** Records in Kafka that the flows that merge and deliver have not committed yet. */
    public static long in(Admin kafka, Schemas schemas) throws Exception {
        long lag = 0;
        for (Schema schema : schemas.all()) {
            lag += lag(kafka, "merge-" + schema.entity(), Topics.observed(schema.entity()));
            for (String system : schema.systems()) {
                lag += lag(kafka, "deliver-" + system + '-' + schema.entity(), Topics.changed(schema.entity()));
            }
        }
        return lag;
    }

    private static long lag(Admin kafka, String group, String topic) throws Exception {
        Map<TopicPartition, OffsetAndMetadata> committed = kafka.listConsumerGroupOffsets(group)
                .partitionsToOffsetAndMetadata()
                .get();
        long lag = 0;
        for (var end : kafka.listOffsets(ends(kafka, topic)).all().get().entrySet()) {
            OffsetAndMetadata at = committed.get(end.getKey());
            lag += end.getValue().offset() - (at == null ? 0 : at.offset());
        }
        return lag;
    }

    /** What to ask Kafka for: how far each partition of a topic goes. */
    public static Map<TopicPartition, OffsetSpec> ends(Admin kafka, String topic) throws Exception {
        Map<TopicPartition, OffsetSpec> ends = new HashMap<>();
        kafka.describeTopics(List.of(topic))
                .allTopicNames()
                .get()
                .get(topic)
                .partitions()
                .forEach(p -> ends.put(new TopicPartition(topic, p.partition()), OffsetSpec.latest()));
        return ends;
    }
}
