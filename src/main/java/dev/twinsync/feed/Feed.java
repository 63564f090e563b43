package dev.twinsync.feed;

import dev.twinsync.capture.KeyColumns;
import dev.twinsync.capture.Learned;
import dev.twinsync.capture.LearnedKeys;
import dev.twinsync.deadletter.DeadLetters;
import dev.twinsync.deadletter.Letter;
import dev.twinsync.flow.Commits;
import dev.twinsync.flow.Outages;
import dev.twinsync.record.Schemas;
import dev.twinsync.state.Topics;
import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.UUID;
import org.apache.camel.Exchange;
import org.apache.camel.Message;
import org.apache.camel.component.kafka.KafkaConstants;
import org.springframework.stereotype.Component;

/**
 * The step of the flows {@code feed-*}: takes the keys from a batch of what another tool wrote, reads those records and
 * publishes them. A message in no known form is a dead letter; it holds up no other.
 */
@Component("feed")
public class Feed {

    private final LearnedKeys learned;
    private final Outages outages;
    private final DeadLetters deadLetters;
    private final Schemas schemas;

    Feed(LearnedKeys learned, Outages outages, DeadLetters deadLetters, Schemas schemas) {
        this.learned = learned;
        this.outages = outages;
        this.deadLetters = deadLetters;
        this.schemas = schemas;
    }

    /**
     * Works a batch, or leaves it to be read again while the app or Kafka is away.
     *
     * @param keys see {@link KeyColumns}
     */
    public void read(String system, String entity, String keys, Exchange exchange) {
        String flow = "feed-" + system + '-' + schemas.of(entity).plural();
        KeyColumns columns = KeyColumns.of(keys);
        Set<String> ids = new LinkedHashSet<>();
        String missed = null;
        List<Letter> letters = new ArrayList<>();
        for (Exchange record : Commits.batch(exchange)) {
            Message message = record.getMessage();
            try {
                String truncated = FeedMessage.learn(
                        columns,
                        message.getHeader(KafkaConstants.TOPIC, String.class),
                        bytes(message.getHeader(KafkaConstants.KEY)),
                        message.getBody(byte[].class),
                        ids);
                missed = truncated == null ? missed : truncated;
            } catch (IllegalArgumentException e) {
                letters.add(letter(system, entity, flow, message, e));
            }
        }
        Learned told = new Learned(ids, missed);
        outages.work(flow, exchange, () -> {
            learned.read(system, entity, told);
            deadLetters.send(letters);
        });
    }

    private static byte[] bytes(Object key) {
        return key == null ? null : key instanceof byte[] b ? b : key.toString().getBytes(StandardCharsets.UTF_8);
    }

    private static Letter letter(String system, String entity, String flow, Message message, Exception cause) {
        String at = message.getHeader(KafkaConstants.TOPIC)
                + "/" + message.getHeader(KafkaConstants.PARTITION)
                + "/" + message.getHeader(KafkaConstants.OFFSET);
        Map<String, String> headers = DeadLetters.headers(message);
        headers.put("sync-feed-position", at);
        headers.put(DeadLetters.ORIGINAL, message.getHeader(KafkaConstants.TOPIC, String.class));
        byte[] body = message.getBody(byte[].class);
        return new Letter(
                UUID.nameUUIDFromBytes((flow + '/' + at).getBytes(StandardCharsets.UTF_8))
                        .toString(),
                entity,
                at,
                system,
                Letter.unknownSlot(at),
                flow,
                flow + ".read",
                null,
                cause.getClass().getName(),
                null,
                null,
                null,
                cause.getMessage(),
                1,
                Instant.now(),
                Topics.observed(entity),
                body == null ? new byte[0] : body,
                headers,
                null,
                null);
    }
}
