package dev.twinsync.operations;

import dev.twinsync.flow.KafkaClients;
import dev.twinsync.record.Schema;
import dev.twinsync.record.Schemas;
import dev.twinsync.state.Topics;
import jakarta.annotation.PreDestroy;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.ListConsumerGroupOffsetsSpec;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.TopicPartition;
import org.springframework.stereotype.Component;

/**
 * How far each group of consumers is behind its topics, in records and in time. The time is that since when the end of
 * a partition was first seen to be where the group is now: exact to the interval of looking, and what was behind before
 * this instance started counts from its start.
 */
@Component
class TopicLag {

    private static final int REMEMBERED = 2_000;
    private static final int SECONDS = 5;
    private static final Duration DESCRIBED = Duration.ofMinutes(1);

    /** @param lag age of the oldest record that the group has not worked, zero where it has all */
    record Behind(long records, Duration lag) {}

    /**
     * @param at when it was so
     * @param brokers of the cluster that are there
     */
    record Seen(Instant at, int brokers, Map<String, Behind> groups) {}

    private record End(Instant at, long offset) {}

    private final Schemas schemas;
    private final KafkaClients clients;
    private final Map<String, Deque<End>> ends = new HashMap<>();
    private Set<TopicPartition> partitions = Set.of();
    private Instant described = Instant.EPOCH;
    private Admin admin;

    TopicLag(Schemas schemas, KafkaClients clients) {
        this.schemas = schemas;
        this.clients = clients;
    }

    /** Asks Kafka; gives up after some seconds. */
    synchronized Seen look() throws Exception {
        if (admin == null) {
            admin = Admin.create(clients.properties());
        }
        int brokers =
                admin.describeCluster().nodes().get(SECONDS, TimeUnit.SECONDS).size();
        Map<String, List<String>> groups = groups();
        if (Instant.now().isAfter(described.plus(DESCRIBED))) {
            describe(groups);
        }
        Map<TopicPartition, Long> ended = offsets(partitions, OffsetSpec.latest());
        Map<String, ListConsumerGroupOffsetsSpec> all = new HashMap<>();
        groups.keySet().forEach(group -> all.put(group, new ListConsumerGroupOffsetsSpec()));
        Map<String, Map<TopicPartition, OffsetAndMetadata>> committed =
                admin.listConsumerGroupOffsets(all).all().get(SECONDS, TimeUnit.SECONDS);
        // where a group has committed nothing yet, it begins with what the topic still holds
        Set<TopicPartition> begun = ended.keySet().stream()
                .filter(partition -> ended.get(partition) > 0
                        && groups.entrySet().stream()
                                .anyMatch(group -> group.getValue().contains(partition.topic())
                                        && committed.get(group.getKey()).get(partition) == null))
                .collect(Collectors.toSet());
        Map<TopicPartition, Long> starts = begun.isEmpty() ? Map.of() : offsets(begun, OffsetSpec.earliest());
        Instant now = Instant.now();
        Map<String, Behind> behind = new LinkedHashMap<>();
        groups.forEach((group, consumed) -> {
            long records = 0;
            Duration lag = Duration.ZERO;
            for (Map.Entry<TopicPartition, Long> end : ended.entrySet()) {
                if (consumed.contains(end.getKey().topic())) {
                    OffsetAndMetadata commit = committed.get(group).get(end.getKey());
                    long done = commit == null ? starts.getOrDefault(end.getKey(), 0L) : commit.offset();
                    records += Math.max(0, end.getValue() - done);
                    Duration age = age(group + '/' + end.getKey(), end.getValue(), done, now);
                    lag = age.compareTo(lag) > 0 ? age : lag;
                }
            }
            behind.put(group, new Behind(records, lag));
        });
        return new Seen(now, brokers, behind);
    }

    /** Topics and partitions change hardly ever: they are asked for once a minute, the offsets at every look. */
    private void describe(Map<String, List<String>> groups) throws Exception {
        // before the first start has made them there are none
        Set<String> topics = new HashSet<>(admin.listTopics().names().get(SECONDS, TimeUnit.SECONDS));
        topics.retainAll(groups.values().stream().flatMap(List::stream).collect(Collectors.toSet()));
        Set<TopicPartition> found = new HashSet<>();
        admin.describeTopics(topics)
                .allTopicNames()
                .get(SECONDS, TimeUnit.SECONDS)
                .values()
                .forEach(topic -> topic.partitions()
                        .forEach(partition -> found.add(new TopicPartition(topic.name(), partition.partition()))));
        partitions = found;
        // what was not there yet may come at any moment
        described = topics.isEmpty() ? Instant.EPOCH : Instant.now();
    }

    private Map<TopicPartition, Long> offsets(Set<TopicPartition> of, OffsetSpec spec) throws Exception {
        Map<TopicPartition, OffsetSpec> asked = new HashMap<>();
        of.forEach(partition -> asked.put(partition, spec));
        Map<TopicPartition, Long> offsets = new HashMap<>();
        admin.listOffsets(asked)
                .all()
                .get(SECONDS, TimeUnit.SECONDS)
                .forEach((partition, told) -> offsets.put(partition, told.offset()));
        return offsets;
    }

    /** Each group of the flows, and the topics that it consumes. */
    private Map<String, List<String>> groups() {
        Map<String, List<String>> groups = new LinkedHashMap<>();
        List<String> letters = new ArrayList<>();
        for (Schema schema : schemas.all()) {
            String observed = Topics.observed(schema.entity());
            String changed = Topics.changed(schema.entity());
            groups.put("merge-" + schema.entity(), List.of(observed));
            schema.systems()
                    .forEach(system -> groups.put("deliver-" + system + '-' + schema.entity(), List.of(changed)));
            letters.add(Topics.deadLetters(observed));
            letters.add(Topics.deadLetters(changed));
        }
        groups.put("store-dead-letters", letters);
        return groups;
    }

    private Duration age(String partition, long end, long done, Instant now) {
        Deque<End> seen = ends.computeIfAbsent(partition, name -> new ArrayDeque<>());
        if (seen.isEmpty() || seen.peekLast().offset() != end) {
            seen.addLast(new End(now, end));
        }
        if (seen.size() > REMEMBERED) {
            // the newest but one goes: the oldest says how late it is
            End last = seen.removeLast();
            seen.removeLast();
            seen.addLast(last);
        }
        while (!seen.isEmpty() && seen.peekFirst().offset() <= done) {
            seen.removeFirst();
        }
        return seen.isEmpty()
                ? Duration.ZERO
                : Duration.between(seen.peekFirst().at(), now);
    }

    @PreDestroy
    void close() {
        // not waited for: a look under way may hang as long as Kafka does
        Admin open = admin;
        if (open != null) {
            open.close(Duration.ofSeconds(1));
        }
    }
}
