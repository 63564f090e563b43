package dev.twinsync.flow;

import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.apache.camel.CamelContext;
import org.apache.camel.Exchange;
import org.apache.camel.Route;
import org.apache.camel.component.kafka.KafkaConstants;
import org.apache.camel.component.kafka.KafkaEndpoint;
import org.apache.camel.component.kafka.consumer.KafkaManualCommit;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.springframework.stereotype.Component;

/**
 * The last step of a flow that consumes batches: commits, per partition, the last record of the batch.
 *
 * <p>A batch that could not be worked is abandoned: nothing of it is committed, and nothing behind it either, until the
 * consumer has gone back to where it was abandoned (which resuming a suspended route does). Without that, the next good
 * batch would commit past the hole.
 */
@Component("commits")
public class Commits {

    private static final Logger LOG = LoggerFactory.getLogger(Commits.class);

    private final CamelContext camel;
    private final KafkaClients clients;

    /** Per route: partition to the first offset that was not worked. */
    private final Map<String, Map<TopicPartition, Long>> holes = new ConcurrentHashMap<>();

    Commits(CamelContext camel, KafkaClients clients) {
        this.camel = camel;
        this.clients = clients;
    }

    /** Whether the batch lies behind a hole: it is not to be worked now, and will be read again. */
    boolean behindHole(Exchange exchange) {
        Map<TopicPartition, Long> open = holes(exchange.getFromRouteId());
        Set<TopicPartition> behind = new HashSet<>();
        edges(exchange, false).forEach((partition, first) -> {
            Long hole = open.get(partition);
            if (hole != null && offset(first) <= hole) {
                open.remove(partition);
            } else if (hole != null) {
                behind.add(partition);
            }
        });
        if (!behind.isEmpty()) {
            // a partition that was away may have been worked elsewhere since
            Map<TopicPartition, Long> committed = committed(exchange.getFromRouteId(), behind);
            behind.removeIf(partition -> committed.getOrDefault(partition, -1L) > open.get(partition));
            open.keySet().removeIf(partition -> committed.getOrDefault(partition, -1L) > open.get(partition));
        }
        return !behind.isEmpty();
    }

    /** Leaves the batch to be read again. */
    void abandon(Exchange exchange) {
        Map<TopicPartition, Long> open = holes(exchange.getFromRouteId());
        edges(exchange, false).forEach((partition, first) -> open.merge(partition, offset(first), Math::min));
    }

    /**
     * Commits the batch, but for partitions with a hole before it. A commit that fails (the partition has gone to
     * another instance, the broker is away) is no failure of the batch: its records come again and change nothing.
     */
    public void commit(Exchange exchange) {
        Map<TopicPartition, Long> open = holes(exchange.getFromRouteId());
        edges(exchange, true).forEach((partition, last) -> {
            if (!open.containsKey(partition)) {
                try {
                    last.getMessage()
                            .getHeader(KafkaConstants.MANUAL_COMMIT, KafkaManualCommit.class)
                            .commit();
                } catch (KafkaException e) {
                    LOG.warn("{} could not commit {}: {}", exchange.getFromRouteId(), partition, e.toString());
                }
            }
        });
    }

    /**
     * Whether resuming the route would not take it back to all of its holes: where a partition has never been committed
     * there is nothing to go back to, and only a new consumer starts from the beginning.
     */
    boolean needsNewConsumer(String route) {
        Set<TopicPartition> open = holes(route).keySet();
        return !open.isEmpty() && !committed(route, open).keySet().containsAll(open);
    }

    /** The route has a new consumer, which starts from what was committed. */
    void startedAnew(String route) {
        holes.remove(route);
    }

    @SuppressWarnings("unchecked")
    public static List<Exchange> batch(Exchange exchange) {
        return (List<Exchange>) exchange.getMessage().getBody(List.class);
    }

    private Map<TopicPartition, Long> holes(String route) {
        return holes.computeIfAbsent(route, r -> new ConcurrentHashMap<>());
    }

    private Map<TopicPartition, Long> committed(String route, Set<TopicPartition> partitions) {
        Route flow = camel.getRoute(route);
        if (flow == null || !(flow.getEndpoint() instanceof KafkaEndpoint kafka)) {
            return Map.of();
        }
        Map<TopicPartition, Long> committed = new HashMap<>();
        try (Admin admin = Admin.create(clients.properties())) {
            Map<TopicPartition, OffsetAndMetadata> offsets = admin.listConsumerGroupOffsets(
                            kafka.getConfiguration().getGroupId())
                    .partitionsToOffsetAndMetadata()
                    .get(10, TimeUnit.SECONDS);
            offsets.forEach((partition, offset) -> {
                if (offset != null && partitions.contains(partition)) {
                    committed.put(partition, offset.offset());
                }
            });
        } catch (ExecutionException | TimeoutException e) {
            // not known now: the hole stands, and it is asked again
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
        return committed;
    }

    private static Map<TopicPartition, Exchange> edges(Exchange exchange, boolean last) {
        Map<TopicPartition, Exchange> edges = new HashMap<>();
        for (Exchange record : batch(exchange)) {
            TopicPartition partition = new TopicPartition(
                    record.getMessage().getHeader(KafkaConstants.TOPIC, String.class),
                    record.getMessage().getHeader(KafkaConstants.PARTITION, Integer.class));
            if (last) {
                edges.put(partition, record);
            } else {
                edges.putIfAbsent(partition, record);
            }
        }
        return edges;
    }

    private static long offset(Exchange record) {
        return record.getMessage().getHeader(KafkaConstants.OFFSET, Long.class);
    }
}
