package dev.twinsync.operations;

import java.time.Duration;
import java.util.List;
import java.util.Map;

/**
 * What Twinsync's own tables said of its work when they were last looked at.
 *
 * @param cursors how far behind the clock each poll's cursor is, by the poll's name
 * @param brakes what each sweep holds back, by the sweep's name
 */
public record Seen(
        List<Backlog> backlog, List<Letters> letters, Map<String, Duration> cursors, Map<String, String> brakes) {

    /**
     * @param lag age of the oldest change that is not delivered and could be; zero where there is none
     * @param oldest the record of that change, or null
     * @param due records of which something is due, those that wait or were refused included
     */
    public record Backlog(String entity, String system, Duration lag, String oldest, long due, long waiting) {}

    /**
     * @param hour of the open ones, those that first failed within an hour
     * @param day within a day, those of the hour included
     * @param week within seven days, those of the day included
     */
    public record Letters(String entity, String system, long open, Duration oldest, long hour, long day, long week) {}
}
