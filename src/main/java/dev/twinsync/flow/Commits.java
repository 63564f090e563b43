package dev.twinsync.flow;

import java.time.Duration;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.camel.Exchange;
import org.apache.camel.component.kafka.KafkaConstants;
import org.apache.camel.component.kafka.consumer.DefaultKafkaManualCommit;
import org.apache.kafka.clients.consumer.Consumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.springframework.context.annotation.Lazy;
import org.springframework.stereotype.Component;

/**
 * The last step of a flow that consumes batches: commits, per partition, what lies behind the last record of the batch.
 *
 * <p>A batch that could not be worked is abandoned: its consumer goes back to where it began, nothing of it is
 * committed, and nothing behind it either until it has come again. Without that, the next good batch would commit past
 * the hole.
 */
@Component("commits")
public class Commits {

    private static final Logger LOG = LoggerFactory.getLogger(Commits.class);
    private static final Duration TIMEOUT = Duration.ofSeconds(5);

    /** Per route: partition to the first offset that was not worked. */
    private final Map<String, Map<TopicPartition, Long>> holes = new ConcurrentHashMap<>();

    private final Retried retried;

    Commits(@Lazy Retried retried) {
        this.retried = retried;
    }

    /** Whether the batch lies behind a hole: it is not to be worked now, and will be read again. */
    boolean behindHole(Exchange exchange) {
        Map<TopicPartition, Long> open = holes(exchange);
        boolean behind = false;
        for (Map.Entry<TopicPartition, Long> first : edges(exchange, false).entrySet()) {
            Long hole = open.get(first.getKey());
            if (hole != null && first.getValue() <= hole) {
                open.remove(first.getKey());
            } else if (hole != null) {
                behind = true;
            }
        }
        return behind;
    }

    /** Leaves the batch to be read again; on the thread of its consumer, which goes back. */
    void abandon(Exchange exchange) {
        Map<TopicPartition, Long> open = holes(exchange);
        edges(exchange, false).forEach((partition, first) -> {
            long hole = open.merge(partition, first, Math::min);
            try {
                consumer(exchange).seek(partition, hole);
            } catch (IllegalStateException e) {
                // the partition has gone to another consumer, which begins where this one committed
                open.remove(partition);
            }
        });
    }

    /**
     * Commits the batch, but for partitions with a hole before it. A commit that fails (the partition has gone to
     * another instance, the broker is away) is no failure of the batch: its records come again and change nothing.
     */
    public void commit(Exchange exchange) {
        Map<TopicPartition, Long> open = holes(exchange);
        retried(exchange, open.keySet());
        Map<TopicPartition, OffsetAndMetadata> offsets = new HashMap<>();
        edges(exchange, true).forEach((partition, last) -> {
            if (!open.containsKey(partition)) {
                offsets.put(partition, new OffsetAndMetadata(last + 1));
            }
        });
        if (offsets.isEmpty()) {
            return;
        }
        try {
            consumer(exchange).commitSync(offsets, TIMEOUT);
        } catch (KafkaException e) {
            LOG.warn("{} could not commit {}: {}", exchange.getFromRouteId(), offsets, e.toString());
        }
    }

    private void retried(Exchange exchange, Set<TopicPartition> open) {
        Set<Long> letters = new HashSet<>();
        for (Exchange record : batch(exchange)) {
            String letter = record.getMessage().getHeader(Retried.HEADER, String.class);
            if (letter != null && letter.matches("\\d{1,18}") && !open.contains(partition(record))) {
                letters.add(Long.valueOf(letter));
            }
        }
        if (!letters.isEmpty()) {
            retried.worked(letters);
        }
    }

    @SuppressWarnings("unchecked")
    public static List<Exchange> batch(Exchange exchange) {
        return (List<Exchange>) exchange.getMessage().getBody(List.class);
    }

    private Map<TopicPartition, Long> holes(Exchange exchange) {
        return holes.computeIfAbsent(exchange.getFromRouteId(), route -> new ConcurrentHashMap<>());
    }

    private static Consumer<?, ?> consumer(Exchange exchange) {
        return batch(exchange)
                .get(0)
                .getMessage()
                .getHeader(KafkaConstants.MANUAL_COMMIT, DefaultKafkaManualCommit.class)
                .getCamelExchangePayload()
                .consumer;
    }

    /** The smallest or the largest offset of the batch in each partition: what was read twice may stand in it twice. */
    private static Map<TopicPartition, Long> edges(Exchange exchange, boolean last) {
        Map<TopicPartition, Long> edges = new HashMap<>();
        for (Exchange record : batch(exchange)) {
            TopicPartition partition = partition(record);
            long offset = record.getMessage().getHeader(KafkaConstants.OFFSET, Long.class);
            edges.merge(partition, offset, last ? Math::max : Math::min);
        }
        return edges;
    }

    private static TopicPartition partition(Exchange record) {
        return new TopicPartition(
                record.getMessage().getHeader(KafkaConstants.TOPIC, String.class),
                record.getMessage().getHeader(KafkaConstants.PARTITION, Integer.class));
    }
}
