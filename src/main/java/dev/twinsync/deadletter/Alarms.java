package dev.twinsync.deadletter;

import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.twinsync.record.Json;
import java.io.IOException;
import java.net.URI;
import java.net.URLEncoder;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.security.GeneralSecurityException;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Base64;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.atomic.AtomicBoolean;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.springframework.beans.factory.annotation.Value;
import org.springframework.jdbc.core.JdbcTemplate;
import org.springframework.scheduling.annotation.Scheduled;
import org.springframework.stereotype.Component;
import org.springframework.transaction.support.TransactionTemplate;

/**
 * Tells webhooks of groups that are new, that have come back or that grow; one message a group, and none for groups that
 * somebody has acknowledged, fixed or set aside. What was told stands in a table, so that a webhook that is away is told
 * later, and several instances tell once. It runs beside the data path and never holds it up.
 */
@Component
class Alarms {

    private static final Logger LOG = LoggerFactory.getLogger(Alarms.class);
    private static final Duration LONGEST_PAUSE = Duration.ofMinutes(5);

    /** How a webhook wants to be told. */
    enum Format {
        JSON,
        WECOM,
        DINGTALK
    }

    /** @param name tells webhooks apart without their address, which holds a secret */
    record Target(Format format, URI url, String name) {}

    /** A webhook setting that can't be used; the message is one line for whoever deploys. */
    static class InvalidAlarms extends RuntimeException {
        InvalidAlarms(String message) {
            super(message);
        }
    }

    private record Alarm(String group, String kind, long open, long told, ObjectNode json) {}

    private final JdbcTemplate jdbc;
    private final TransactionTemplate transaction;
    private final Letters letters;
    private final List<Target> targets;
    private final String dingtalkSecret;
    private final String console;
    private final Duration repeat;
    private final int growth;
    private final int mostATurn;
    private final HttpClient http =
            HttpClient.newBuilder().connectTimeout(Duration.ofSeconds(5)).build();
    private final Map<String, Integer> failures = new HashMap<>();
    private final Map<String, Instant> until = new HashMap<>();
    private final AtomicBoolean busy = new AtomicBoolean();
    private final ExecutorService telling = Executors.newSingleThreadExecutor(run -> {
        Thread thread = new Thread(run, "alarms");
        thread.setDaemon(true);
        return thread;
    });

    Alarms(
            JdbcTemplate jdbc,
            TransactionTemplate transaction,
            Letters letters,
            @Value("${twinsync.alarms.webhooks:}") String webhooks,
            @Value("${twinsync.alarms.dingtalk-secret:}") String dingtalkSecret,
            @Value("${twinsync.alarms.console-url:}") String console,
            @Value("${twinsync.alarms.repeat}") Duration repeat,
            @Value("${twinsync.alarms.growth}") int growth,
            @Value("${twinsync.alarms.most-a-turn}") int mostATurn) {
        this.jdbc = jdbc;
        this.transaction = transaction;
        this.letters = letters;
        this.targets = targets(webhooks);
        this.dingtalkSecret = dingtalkSecret;
        this.console = console.replaceAll("/+$", "");
        this.repeat = repeat;
        this.growth = growth;
        this.mostATurn = mostATurn;
    }

    static List<Target> targets(String webhooks) {
        List<Target> targets = new ArrayList<>();
        for (String one : webhooks.strip().split("[,\\s]+")) {
            if (one.isEmpty()) {
                continue;
            }
            String[] parts = one.split("=", 2);
            try {
                URI url = new URI(parts[1]);
                if (!List.of("http", "https").contains(url.getScheme()) || url.getHost() == null) {
                    throw new IllegalArgumentException("no address");
                }
                String name = parts[0]
                        + '-'
                        + UUID.nameUUIDFromBytes(parts[1].getBytes(StandardCharsets.UTF_8))
                                .toString()
                                .substring(0, 8);
                targets.add(new Target(Format.valueOf(parts[0].toUpperCase(java.util.Locale.ROOT)), url, name));
            } catch (RuntimeException | java.net.URISyntaxException e) {
                throw new InvalidAlarms(
                        "ALARM_WEBHOOKS: write format=address,… with format json, wecom or dingtalk and an http(s) address");
            }
        }
        return targets;
    }

    @Scheduled(fixedDelayString = "${twinsync.alarms.interval}")
    void turn() {
        if (!targets.isEmpty() && busy.compareAndSet(false, true)) {
            telling.execute(() -> {
                try {
                    targets.forEach(this::tell);
                } catch (RuntimeException e) {
                    LOG.warn("alarms can't be looked for: {}", e.toString());
                } finally {
                    busy.set(false);
                }
            });
        }
    }

    private void tell(Target target) {
        if (Instant.now().isBefore(until.getOrDefault(target.name(), Instant.EPOCH))) {
            return;
        }
        transaction.executeWithoutResult(status -> {
            jdbc.execute("set local idle_in_transaction_session_timeout = '120s'");
            Boolean ours = jdbc.queryForObject(
                    "select pg_try_advisory_xact_lock(hashtextextended('twinsync/alarms/' || ?, 0))",
                    Boolean.class,
                    target.name());
            if (!Boolean.TRUE.equals(ours)) {
                return;
            }
            // a group that was told and has no open letters any more is told again when it comes back
            jdbc.update("""
                    update letter_alarm a set told_open = 0 where a.target = ? and a.told_open > 0
                      and not exists (select from dead_letter d
                        where d.failure_group = a.letter_group and d.state in ('open', 'retrying'))""", target.name());
            for (Alarm alarm : due(target)) {
                if (!told(target, alarm)) {
                    return;
                }
                jdbc.update("""
                        insert into letter_alarm (letter_group, target, told_open, told_at) values (?, ?, ?, clock_timestamp())
                        on conflict (letter_group, target) do update set told_open = excluded.told_open, told_at = excluded.told_at""", alarm.group(), target.name(), alarm.open());
            }
        });
    }

    private List<Alarm> due(Target target) {
        return jdbc.query(
                """
                select g.id, o.open, a.told_open
                from letter_group g
                  join (select failure_group, count(*) as open from dead_letter where state in ('open', 'retrying')
                    group by failure_group) o on o.failure_group = g.id
                  left join letter_alarm a on a.letter_group = g.id and a.target = ?
                where g.state = 'new' and (a.told_at is null or a.told_open = 0
                  or o.open >= a.told_open * ? and a.told_at < clock_timestamp() - ? * interval '1 ms')
                order by o.open desc limit ?""",
                (row, n) -> {
                    String group = row.getString(1);
                    long told = row.getLong(3);
                    String kind = row.wasNull() ? "new" : told == 0 ? "back" : "growing";
                    return new Alarm(group, kind, row.getLong(2), told, letters.group(group));
                },
                target.name(),
                growth,
                repeat.toMillis(),
                mostATurn);
    }

    private boolean told(Target target, Alarm alarm) {
        try {
            HttpResponse<String> answer = http.send(
                    HttpRequest.newBuilder(address(target))
                            .timeout(Duration.ofSeconds(10))
                            .header("Content-Type", "application/json; charset=utf-8")
                            .POST(HttpRequest.BodyPublishers.ofByteArray(Json.bytes(body(target.format(), alarm))))
                            .build(),
                    HttpResponse.BodyHandlers.ofString());
            String refusal = refusal(target.format(), answer);
            if (refusal == null) {
                failures.remove(target.name());
                return true;
            }
            later(target, refusal);
        } catch (IOException e) {
            later(target, e.getClass().getSimpleName());
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
        return false;
    }

    /** Robots answer 200 and say in the body what they think of it. */
    private static String refusal(Format format, HttpResponse<String> answer) {
        if (answer.statusCode() / 100 != 2) {
            return "HTTP " + answer.statusCode();
        }
        if (format == Format.JSON) {
            return null;
        }
        try {
            int code = Json.read(answer.body()).path("errcode").asInt(-1);
            return code == 0 ? null : "errcode " + code;
        } catch (IllegalArgumentException e) {
            return "an answer that is not JSON";
        }
    }

    private void later(Target target, String why) {
        int failed = failures.merge(target.name(), 1, Integer::sum);
        Duration pause = Duration.ofSeconds(Math.min(LONGEST_PAUSE.toSeconds(), 1L << Math.min(failed, 9)));
        until.put(target.name(), Instant.now().plus(pause));
        LOG.warn("webhook {} was not told ({}) and is tried again in {} s", target.name(), why, pause.toSeconds());
    }

    private URI address(Target target) {
        if (target.format() != Format.DINGTALK || dingtalkSecret.isBlank()) {
            return target.url();
        }
        try {
            long now = System.currentTimeMillis();
            Mac mac = Mac.getInstance("HmacSHA256");
            mac.init(new SecretKeySpec(dingtalkSecret.getBytes(StandardCharsets.UTF_8), "HmacSHA256"));
            String sign = Base64.getEncoder()
                    .encodeToString(mac.doFinal((now + "\n" + dingtalkSecret).getBytes(StandardCharsets.UTF_8)));
            String url = target.url().toString();
            return URI.create(url
                    + (url.contains("?") ? '&' : '?')
                    + "timestamp="
                    + now
                    + "&sign="
                    + URLEncoder.encode(sign, StandardCharsets.UTF_8));
        } catch (GeneralSecurityException e) {
            throw new IllegalStateException(e);
        }
    }

    private ObjectNode body(Format format, Alarm alarm) {
        ObjectNode body = Json.MAPPER.createObjectNode();
        String link = console.isEmpty() ? null : console + "/console/letters/list?group=" + alarm.group();
        if (format == Format.JSON) {
            body.put("event", "dead_letters." + alarm.kind());
            body.put("open", alarm.open());
            body.put("told_before", alarm.told());
            body.set("group", alarm.json());
            body.put("link", link);
            return body;
        }
        String title = title(alarm);
        String text = "### " + title + "\n"
                + "> 流程 flow: " + plain(alarm.json().path("route").asText()) + "\n"
                + "> 原因 cause: " + plain(cause(alarm.json().path("error"))) + "\n"
                + "> 记录 records: " + alarm.json().path("records").asLong() + "\n"
                + (link == null ? "" : "> [处理 open](" + link + ")\n");
        if (format == Format.WECOM) {
            body.put("msgtype", "markdown").putObject("markdown").put("content", text);
        } else {
            body.put("msgtype", "markdown")
                    .putObject("markdown")
                    .put("title", title)
                    .put("text", text.replace("\n", "\n\n"));
        }
        return body;
    }

    private static String title(Alarm alarm) {
        String of = plain(alarm.json().path("entity").asText()) + " → "
                + plain(alarm.json().path("system").asText());
        return switch (alarm.kind()) {
            case "growing" -> "Twinsync 死信增加 growing: " + of + ", " + alarm.told() + " → " + alarm.open();
            case "back" -> "Twinsync 死信再次出现 back: " + of + ", " + alarm.open();
            default -> "Twinsync 新的死信 new: " + of + ", " + alarm.open();
        };
    }

    private static String cause(com.fasterxml.jackson.databind.JsonNode error) {
        String code = error.path("code").asText("");
        String message = error.path("message").asText("");
        return (code.isEmpty() || code.equals("null") ? error.path("class").asText() : code) + ' ' + message;
    }

    /** Text of others in a message of ours: one line, not too long, and no mark-up of theirs. */
    private static String plain(String text) {
        String plain = text.replaceAll("[\\p{Cntrl}\\[\\]()*_`#<>|@~]+", " ").strip();
        return plain.length() <= 300 ? plain : plain.substring(0, 300) + "…";
    }
}
