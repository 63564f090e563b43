package dev.twinsync.state;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.twinsync.merge.Observation;
import dev.twinsync.merge.ObservationJson;
import dev.twinsync.merge.Ticks;
import dev.twinsync.record.Json;
import dev.twinsync.record.Times;
import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.UUID;
import java.util.concurrent.ThreadLocalRandom;
import org.apache.camel.CamelContext;
import org.apache.camel.Message;
import org.apache.camel.ProducerTemplate;
import org.apache.camel.component.kafka.KafkaConstants;
import org.apache.camel.support.DefaultMessage;
import org.springframework.stereotype.Component;

/** Puts observations on their topic: when {@link #publish} returns, Kafka has them all. */
@Component("observations")
public class Observations {

    static final String PUBLISH = "direct:publish-records";

    private final CamelContext camel;
    private final ProducerTemplate template;

    Observations(CamelContext camel, ProducerTemplate template) {
        this.camel = camel;
        this.template = template;
    }

    /** A reading; its event id is the same whenever the same look at the same record is published again. */
    public static Observation reading(
            String entity,
            String id,
            String system,
            boolean exists,
            ObjectNode data,
            String position,
            Ticks ticks,
            Instant changedAt) {
        String eventId = UUID.nameUUIDFromBytes(
                        (system + '/' + entity + '/' + id + '/' + position + '/' + exists + '/' + ticks.ended())
                                .getBytes(StandardCharsets.UTF_8))
                .toString();
        return new Observation(
                Observation.Kind.READING,
                entity,
                id,
                system,
                exists,
                data,
                position,
                ticks,
                changedAt,
                Instant.now(),
                eventId,
                trace());
    }

    /**
     * A push.
     *
     * @param position the text of its {@code updated_at}, or null
     * @param changedAt its {@code updated_at} corrected by the measured clock offset, or null
     */
    public static Observation push(
            String entity,
            String id,
            String system,
            ObjectNode data,
            String position,
            Instant changedAt,
            String eventId) {
        return new Observation(
                Observation.Kind.PUSH,
                entity,
                id,
                system,
                true,
                data,
                position,
                null,
                changedAt,
                Instant.now(),
                eventId,
                trace());
    }

    /** Sends all and waits for all acknowledgements; what fails, fails the call. */
    public void publish(List<Observation> observations) {
        List<Message> messages = new ArrayList<>(observations.size());
        for (Observation o : observations) {
            Message message = message(Topics.observed(o.entity()), o.id(), bytes(o));
            message.setHeader("ce_specversion", "1.0");
            message.setHeader("ce_type", "dev.twinsync." + o.entity() + ".observed");
            message.setHeader("ce_id", o.eventId());
            message.setHeader("ce_source", o.system());
            message.setHeader("ce_subject", o.id());
            message.setHeader("ce_time", Times.text(o.changedAt() == null ? o.observedAt() : o.changedAt()));
            message.setHeader("traceparent", o.traceparent());
            messages.add(message);
        }
        send(messages);
    }

    /** An observation that no topic would take loses its largest fields, one by one: they become unusable, it does not. */
    private static byte[] bytes(Observation o) {
        byte[] bytes = ObservationJson.write(o);
        Set<String> cut = new HashSet<>();
        while (bytes.length > Topics.LARGEST_MESSAGE * 3 / 4
                && cut.size() < o.data().size()) {
            String largest = null;
            int size = -1;
            for (Map.Entry<String, JsonNode> field : o.data().properties()) {
                int length = Json.bytes(field.getValue()).length;
                if (length > size && !cut.contains(field.getKey())) {
                    size = length;
                    largest = field.getKey();
                }
            }
            o.data().set(largest, Json.unusable());
            cut.add(largest);
            bytes = ObservationJson.write(o);
        }
        return bytes;
    }

    /** A record for a topic, keyed by the canonical id. */
    public Message message(String topic, String key, byte[] value) {
        Message message = new DefaultMessage(camel);
        message.setHeader(KafkaConstants.OVERRIDE_TOPIC, topic);
        message.setHeader(KafkaConstants.KEY, key);
        message.setBody(value);
        return message;
    }

    /** Sends records in one go and waits for all acknowledgements. */
    public void send(List<Message> messages) {
        if (!messages.isEmpty()) {
            template.sendBody(PUBLISH, messages);
        }
    }

    /** A new W3C trace context: one trace is one change on its way from one end to the others. */
    public static String trace() {
        ThreadLocalRandom random = ThreadLocalRandom.current();
        HexFormat hex = HexFormat.of();
        return "00-" + hex.toHexDigits(random.nextLong()) + hex.toHexDigits(random.nextLong()) + '-'
                + hex.toHexDigits(random.nextLong()) + "-01";
    }

    /** The trace's id, for log lines; {@code -} where there is none. */
    public static String traceId(String traceparent) {
        return traceparent == null || traceparent.length() < 35 ? "-" : traceparent.substring(3, 35);
    }
}
