package dev.twinsync.backfill;

import dev.twinsync.flow.KafkaClients;
import dev.twinsync.record.Schema;
import dev.twinsync.state.Topics;
import jakarta.annotation.PreDestroy;
import java.time.Duration;
import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.ListConsumerGroupOffsetsSpec;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.TopicPartition;
import org.springframework.stereotype.Component;

/** How many records of an entity are on their way: a live change waits behind no more than that. */
@Component
class Traffic {

    private final KafkaClients clients;
    private Admin admin;

    Traffic(KafkaClients clients) {
        this.clients = clients;
    }

    /** The largest backlog of the merge and of the systems' deliveries. */
    synchronized long onTheirWay(Schema schema) {
        try {
            if (admin == null) {
                admin = Admin.create(clients.properties());
            }
            Map<String, String> groups = new HashMap<>();
            groups.put("merge-" + schema.entity(), Topics.observed(schema.entity()));
            schema.systems()
                    .forEach(system ->
                            groups.put("deliver-" + system + '-' + schema.entity(), Topics.changed(schema.entity())));
            Map<TopicPartition, OffsetSpec> asked = new HashMap<>();
            admin.describeTopics(java.util.Set.copyOf(groups.values()))
                    .allTopicNames()
                    .get(10, TimeUnit.SECONDS)
                    .forEach((topic, told) -> told.partitions()
                            .forEach(p -> asked.put(new TopicPartition(topic, p.partition()), OffsetSpec.latest())));
            Map<String, ListConsumerGroupOffsetsSpec> all = new HashMap<>();
            groups.keySet().forEach(group -> all.put(group, new ListConsumerGroupOffsetsSpec()));
            var ends = admin.listOffsets(asked).all();
            Map<String, Map<TopicPartition, OffsetAndMetadata>> committed =
                    admin.listConsumerGroupOffsets(all).all().get(10, TimeUnit.SECONDS);
            long most = 0;
            for (Map.Entry<String, String> group : groups.entrySet()) {
                long behind = 0;
                for (var end : ends.get(10, TimeUnit.SECONDS).entrySet()) {
                    if (end.getKey().topic().equals(group.getValue())) {
                        OffsetAndMetadata done = committed.get(group.getKey()).get(end.getKey());
                        behind += end.getValue().offset() - (done == null ? 0 : done.offset());
                    }
                }
                most = Math.max(most, behind);
            }
            return most;
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IllegalStateException("interrupted", e);
        } catch (ExecutionException | TimeoutException e) {
            throw new IllegalStateException("Kafka does not tell how far the flows are: " + e.getMessage(), e);
        }
    }

    @PreDestroy
    void close() {
        if (admin != null) {
            admin.close(Duration.ofSeconds(1));
        }
    }
}
